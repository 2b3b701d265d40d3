-- Refusals by source, in a fixed number of slots: what unverified senders cause to be written must not grow.
CREATE TABLE IF NOT EXISTS throttle (
  slot   INTEGER PRIMARY KEY,
  source INTEGER NOT NULL,                    -- the eight bytes of the source's key
  tat    INTEGER NOT NULL                     -- µs
) STRICT
