-- The weaker identity of an event (source §8): click and event type, held by one event for the length of a window.
CREATE TABLE IF NOT EXISTS fallback (
  fingerprint  BLOB    PRIMARY KEY,           -- 16 bytes: partner, event type, click_id
  claimed_by   BLOB    NOT NULL,              -- fingerprint of the event that holds it
  event_id     TEXT    NOT NULL,              -- that event's id, for "duplicate_of"
  lease_until  INTEGER NOT NULL,              -- ms; 0: committed
  window_until INTEGER NOT NULL,              -- ms
  claimed_at   INTEGER NOT NULL               -- ms: the window begins here
) STRICT, WITHOUT ROWID

CREATE INDEX IF NOT EXISTS fallback_by_end ON fallback (window_until)

-- Every new identity takes two out that are over, so the table is bounded by the traffic of one window.
CREATE TRIGGER IF NOT EXISTS fallback_bounded AFTER INSERT ON fallback BEGIN
  DELETE FROM fallback WHERE fingerprint IN (
    SELECT fingerprint FROM fallback
    WHERE window_until <= NEW.claimed_at AND lease_until <= NEW.claimed_at LIMIT 2);
END
