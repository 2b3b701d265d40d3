-- Fallback duplicates (source §8): events with an id of their own that say again what another event has said. They are kept, and not
-- posted. The verdict on an id stands, whatever becomes of the identity that it was found by.
CREATE TABLE IF NOT EXISTS duplicate (
  id           INTEGER PRIMARY KEY,           -- the order of receipt
  fingerprint  BLOB    NOT NULL UNIQUE,       -- 16 bytes: as in the inbox
  payload_hash BLOB    NOT NULL,              -- SHA-256 of the canonical payload
  duplicate_of TEXT    NOT NULL,              -- id of the event that was accepted
  partner      TEXT    NOT NULL,              -- from here on as in the inbox
  event_id     TEXT    NOT NULL,
  event        TEXT    NOT NULL,
  click_id     TEXT    NOT NULL,
  ts_event     INTEGER NOT NULL,              -- ms, by the sender's clock
  key_id       TEXT    NOT NULL,
  source       TEXT,
  payload      TEXT    NOT NULL,              -- canonical (RFC 8785)
  received_at  INTEGER NOT NULL               -- ms, by our clock
) STRICT

-- Payloads that are over their retention are found without reading all that are not.
CREATE INDEX IF NOT EXISTS duplicate_by_age ON duplicate (received_at) WHERE payload <> ''
