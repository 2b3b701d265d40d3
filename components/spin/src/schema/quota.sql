-- The quota of each partner of the configuration: the cell rate algorithm's one instant.
CREATE TABLE IF NOT EXISTS quota (
  partner TEXT    PRIMARY KEY,
  tat     INTEGER NOT NULL                    -- µs
) STRICT

-- One event is spent by one insert here, by the arithmetic of `Rate::decide` (core/src/rate.rs); it fails where the quota is spent.
CREATE VIEW IF NOT EXISTS spending (partner, now_us, interval_us, window_us, step_us) AS SELECT NULL, NULL, NULL, NULL, NULL

CREATE TRIGGER IF NOT EXISTS spend INSTEAD OF INSERT ON spending BEGIN
  INSERT INTO quota (partner, tat) VALUES (NEW.partner, NEW.now_us + NEW.interval_us)
    ON CONFLICT (partner) DO UPDATE SET tat = CASE
      WHEN tat > NEW.now_us + NEW.window_us + NEW.step_us THEN NEW.now_us + NEW.window_us
      ELSE max(tat, NEW.now_us) + NEW.interval_us END;
  SELECT RAISE(ABORT, 'countersign: spent') FROM quota WHERE partner = NEW.partner AND tat > NEW.now_us + NEW.window_us;
END
