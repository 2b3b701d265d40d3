-- The inbox: one row is one accepted event, and the claim on it (docs/decisions/0006-mode.md). No row is ever pending, and its name is
-- remembered for as long as the row is there: for good. A repeat is a repeat however late it comes (docs/decisions/0015).
CREATE TABLE IF NOT EXISTS inbox (
  id               INTEGER PRIMARY KEY,       -- the order of receipt
  fingerprint      BLOB    UNIQUE,            -- 16 bytes: the name of the event among all events of all partners; NULL: forgotten by version 1
  payload_hash     BLOB    NOT NULL,          -- SHA-256 of the canonical payload
  partner          TEXT    NOT NULL,
  event_id         TEXT    NOT NULL,
  event            TEXT    NOT NULL,
  click_id         TEXT    NOT NULL,
  ts_event         INTEGER NOT NULL,          -- ms, by the sender's clock
  key_id           TEXT    NOT NULL,          -- 'hop' for attested events
  source           TEXT,
  receipt          TEXT    NOT NULL,
  payload          TEXT    NOT NULL,          -- canonical (RFC 8785)
  received_at      INTEGER NOT NULL,          -- ms, by our clock
  receipt_key      INTEGER                    -- mark of the key that made the receipt; NULL: accepted by version 1
) STRICT
