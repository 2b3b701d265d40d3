-- The inbox: one row is one accepted event, and the claim on it (docs/decisions/0006-mode.md). No row is ever pending.
CREATE TABLE IF NOT EXISTS inbox (
  id               INTEGER PRIMARY KEY,       -- the order of receipt
  fingerprint      BLOB    UNIQUE,            -- 16 bytes: the name of the event among all events of all partners; NULL: forgotten
  payload_hash     BLOB    NOT NULL,          -- SHA-256 of the canonical payload
  remembered_until INTEGER NOT NULL,          -- ms: a repeat after that is a new event; this row stays
  partner          TEXT    NOT NULL,
  event_id         TEXT    NOT NULL,
  event            TEXT    NOT NULL,
  click_id         TEXT    NOT NULL,
  ts_event         INTEGER NOT NULL,          -- ms, by the sender's clock
  key_id           TEXT    NOT NULL,          -- 'hop' for attested events
  source           TEXT,
  receipt          TEXT    NOT NULL,
  payload          TEXT    NOT NULL,          -- canonical (RFC 8785)
  received_at      INTEGER NOT NULL           -- ms, by our clock
) STRICT
