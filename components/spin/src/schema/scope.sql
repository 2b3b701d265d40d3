-- Whose database this is: that of one environment and name of the document. Whoever opens it for another one refuses to start.
CREATE TABLE IF NOT EXISTS scope (
  id          INTEGER PRIMARY KEY CHECK (id = 1),
  environment TEXT NOT NULL,                  -- 'production' or 'sandbox'
  name        TEXT NOT NULL
) STRICT
