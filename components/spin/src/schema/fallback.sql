-- The weaker identity of an event (source §8): click and event type, claimed by one event for the length of a window.
CREATE TABLE IF NOT EXISTS fallback (
  fingerprint BLOB    PRIMARY KEY,            -- 16 bytes: partner, event type, click_id
  claimed_by  BLOB    NOT NULL,               -- fingerprint of the event that claimed it
  event_id    TEXT    NOT NULL,               -- that event's id, for "duplicate_of"
  claimed_at  INTEGER NOT NULL,               -- ms: the window begins here
  lease_until INTEGER NOT NULL DEFAULT 0      -- ms; 0: committed
) STRICT
