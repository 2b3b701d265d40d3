-- What is over its retention is found without reading all that is not (source §9).
CREATE INDEX IF NOT EXISTS entry_by_age ON entry (received_at)

-- The ids of entries that are gone: none of them is posted again.
CREATE TABLE IF NOT EXISTS purged (
  partner      TEXT NOT NULL,
  event_id     TEXT NOT NULL,
  payload_hash BLOB NOT NULL,                 -- tells a repeat from an id that is used again
  PRIMARY KEY (partner, event_id)
) STRICT, WITHOUT ROWID

CREATE TRIGGER IF NOT EXISTS purged_stays BEFORE INSERT ON entry
WHEN EXISTS (SELECT 1 FROM purged WHERE partner = NEW.partner AND event_id = NEW.event_id) BEGIN
  SELECT RAISE(ABORT, 'countersign: purged');
END

-- What is carried forward of entries that are gone: counts by day and campaign …
CREATE TABLE IF NOT EXISTS carried (
  day               TEXT    NOT NULL,         -- YYYY-MM-DD, of ts_event
  partner           TEXT    NOT NULL,
  campaign          TEXT    NOT NULL,         -- '': unattributed
  events            INTEGER NOT NULL,
  registrations     INTEGER NOT NULL,
  first_deposits    INTEGER NOT NULL,
  ftd_disagreements INTEGER NOT NULL,
  PRIMARY KEY (day, partner, campaign)
) STRICT, WITHOUT ROWID

-- … and sums, by kind and currencies too.
CREATE TABLE IF NOT EXISTS carried_sum (
  day             TEXT    NOT NULL,
  partner         TEXT    NOT NULL,
  campaign        TEXT    NOT NULL,
  kind            TEXT    NOT NULL,           -- as in `posting`, and so are the following
  currency        TEXT    NOT NULL,
  report_currency TEXT    NOT NULL,
  exponent        INTEGER NOT NULL,
  report_exponent INTEGER NOT NULL,
  minor           INTEGER NOT NULL,
  report_minor    INTEGER NOT NULL,
  PRIMARY KEY (day, partner, campaign, kind, currency, report_currency)
) STRICT, WITHOUT ROWID

-- A purge is one insert here: a JSON array of entries. Those that are gone already change nothing. A batch that is being decided at this
-- moment is decided anew. The first deposit of an account stays marked as its first, without its entry.
CREATE VIEW IF NOT EXISTS purging (entries) AS SELECT NULL

CREATE TRIGGER IF NOT EXISTS purge INSTEAD OF INSERT ON purging BEGIN
  UPDATE generation SET count = count + 1;
  INSERT INTO carried (day, partner, campaign, events, registrations, first_deposits, ftd_disagreements)
    SELECT date(ts_event / 1000, 'unixepoch'), partner, coalesce(campaign, ''), count(*), sum(event = 'registration'), sum(is_first),
      sum(event = 'deposit_success' AND said_ftd IS NOT NULL AND said_ftd <> is_first)
    FROM (SELECT entry.*, EXISTS (SELECT 1 FROM first_deposit WHERE first_deposit.entry = entry.id) AS is_first
      FROM json_each(NEW.entries) AS gone CROSS JOIN entry ON entry.id = gone.value) WHERE true GROUP BY 1, 2, 3
    ON CONFLICT (day, partner, campaign) DO UPDATE SET events = events + excluded.events,
      registrations = registrations + excluded.registrations, first_deposits = first_deposits + excluded.first_deposits,
      ftd_disagreements = ftd_disagreements + excluded.ftd_disagreements;
  INSERT INTO carried_sum (day, partner, campaign, kind, currency, report_currency, exponent, report_exponent, minor, report_minor)
    SELECT date(entry.ts_event / 1000, 'unixepoch'), entry.partner, coalesce(entry.campaign, ''), posting.kind, posting.currency,
      posting.report_currency, posting.exponent, posting.report_exponent, sum(posting.minor), sum(posting.report_minor)
    FROM json_each(NEW.entries) AS gone CROSS JOIN entry ON entry.id = gone.value CROSS JOIN posting ON posting.entry = entry.id
    WHERE true GROUP BY 1, 2, 3, 4, 5, 6
    ON CONFLICT (day, partner, campaign, kind, currency, report_currency) DO UPDATE SET minor = minor + excluded.minor,
      report_minor = report_minor + excluded.report_minor;
  INSERT INTO purged (partner, event_id, payload_hash) SELECT partner, event_id, payload_hash
    FROM json_each(NEW.entries) AS gone CROSS JOIN entry ON entry.id = gone.value;
  DELETE FROM posting WHERE entry IN (SELECT value FROM json_each(NEW.entries));
  DELETE FROM verdict WHERE entry IN (SELECT value FROM json_each(NEW.entries));
  DELETE FROM entry WHERE id IN (SELECT value FROM json_each(NEW.entries));
END
