-- The weaker identity of an event (source §8). Events of one fingerprint are duplicates where their `ts_event`s are less than a window
-- apart; further apart they stand side by side.
CREATE TABLE IF NOT EXISTS fallback (
  fingerprint      BLOB    NOT NULL,          -- 16 bytes: partner, event type, click_id, and the money of an event that has any
  ts_event         INTEGER NOT NULL,          -- ms, by the sender's clock
  claimed_by       BLOB    NOT NULL,          -- fingerprint of the event that holds it
  event_id         TEXT    NOT NULL,          -- that event's id, for "duplicate_of"
  lease_until      INTEGER NOT NULL,          -- ms; 0: committed
  remembered_until INTEGER NOT NULL,          -- ms
  claimed_at       INTEGER NOT NULL,          -- ms, by our clock
  PRIMARY KEY (fingerprint, ts_event, claimed_by)
) STRICT, WITHOUT ROWID

CREATE INDEX IF NOT EXISTS fallback_by_end ON fallback (remembered_until)

-- Every new identity takes two out that are over, so the table is bounded by the traffic of one retention and window.
CREATE TRIGGER IF NOT EXISTS fallback_bounded AFTER INSERT ON fallback BEGIN
  DELETE FROM fallback WHERE (fingerprint, ts_event, claimed_by) IN (
    SELECT fingerprint, ts_event, claimed_by FROM fallback
    WHERE remembered_until <= NEW.claimed_at AND lease_until <= NEW.claimed_at LIMIT 2);
END
