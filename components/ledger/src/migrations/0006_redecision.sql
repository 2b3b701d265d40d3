-- Deposits that were decided anew after a contract changed (source §8): one row for each batch, with what it posted. Re-decision n is
-- the cause -2n of the postings that it takes back with, and -2n - 1 of the postings and verdicts in their place.
CREATE TABLE IF NOT EXISTS redecision (
  id           INTEGER PRIMARY KEY,
  partner      TEXT    NOT NULL,
  redecided_at INTEGER NOT NULL,              -- ms
  confirm      TEXT    NOT NULL,              -- what was confirmed; the batches of one run have the same
  because      TEXT    NOT NULL,              -- the reason that was given
  accounts     INTEGER NOT NULL,              -- players, and deposits without one, that something changed of
  deposits     INTEGER NOT NULL
) STRICT

-- A batch is one insert here, all or none; it fails as a whole where something was settled since it was read. Then look again.
CREATE VIEW IF NOT EXISTS redeciding (
  id, partner, redecided_at, confirm, because, accounts, deposits,
  generation,                                 -- as it was before anything was read
  postings, verdicts,                         -- as in `settling`
  lost,                                       -- entries that are the first deposit no more
  firsts                                      -- as in `settling`
) AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL

CREATE TRIGGER IF NOT EXISTS redecide INSTEAD OF INSERT ON redeciding BEGIN
  INSERT INTO redecision (id, partner, redecided_at, confirm, because, accounts, deposits)
    VALUES (NEW.id, NEW.partner, NEW.redecided_at, NEW.confirm, NEW.because, NEW.accounts, NEW.deposits);
  DELETE FROM first_deposit WHERE entry IN (SELECT value FROM json_each(NEW.lost));
  INSERT INTO settling (settled_at, generation, done, entries, postings, verdicts, firsts, accounts, installs, waiting, dead)
    VALUES (NEW.redecided_at, NEW.generation, '[]', '[]', NEW.postings, NEW.verdicts, NEW.firsts, '[]', '[]', '[]', '[]');
END
