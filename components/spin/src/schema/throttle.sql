-- Refusals by source, eight sources in each of a fixed number of slots: what unverified senders cause to be written must not grow.
CREATE TABLE IF NOT EXISTS throttle (
  slot   INTEGER NOT NULL,
  source INTEGER NOT NULL,                    -- the eight bytes of the source's key
  tat    INTEGER NOT NULL,                    -- µs
  PRIMARY KEY (slot, source)
) STRICT, WITHOUT ROWID

-- A ninth source pushes out the one that is nearest to being forgiven anyway.
CREATE TRIGGER IF NOT EXISTS throttle_bounded AFTER INSERT ON throttle BEGIN
  DELETE FROM throttle WHERE slot = NEW.slot AND source <> NEW.source AND source NOT IN (
    SELECT source FROM throttle
    WHERE slot = NEW.slot AND source <> NEW.source ORDER BY tat DESC LIMIT 7);
END
