-- The quota of each partner of the configuration: the cell rate algorithm's one instant.
CREATE TABLE IF NOT EXISTS quota (
  partner TEXT    PRIMARY KEY,
  tat     INTEGER NOT NULL                    -- µs
) STRICT
