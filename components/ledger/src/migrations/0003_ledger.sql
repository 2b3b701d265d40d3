-- Exchange rates by day (source §7). A day without a quote is there too: an older day's rate must not stand in for it.
CREATE TABLE IF NOT EXISTS rate_day (
  date   TEXT PRIMARY KEY,                    -- YYYY-MM-DD
  source TEXT NOT NULL                        -- 'ECB'
) STRICT, WITHOUT ROWID

CREATE TABLE IF NOT EXISTS rate (
  date     TEXT NOT NULL,
  currency TEXT NOT NULL,                     -- three letters; withdrawn ones too
  quote    TEXT NOT NULL,                     -- units for one euro, an exact decimal
  PRIMARY KEY (date, currency)
) STRICT, WITHOUT ROWID

-- Each import of rates: what was read before may be old.
CREATE TABLE IF NOT EXISTS rate_import (
  id          INTEGER PRIMARY KEY,
  imported_at INTEGER NOT NULL,               -- ms
  days        INTEGER NOT NULL
) STRICT

-- Players, by the operator's own id for them: the mapping click ↔ account (source §3).
CREATE TABLE IF NOT EXISTS account (
  partner       TEXT    NOT NULL,
  account_id    TEXT    NOT NULL,
  click_id      TEXT,                         -- of the registration: the first touch
  campaign      TEXT,
  attribution   TEXT,
  score         INTEGER,                      -- thousandths, of 'probable'
  registered_at INTEGER,                      -- ms, by the operator's clock
  kyc_at        INTEGER,                      -- ms
  PRIMARY KEY (partner, account_id)
) STRICT, WITHOUT ROWID

-- A click that a player has is matched with no other one.
CREATE INDEX IF NOT EXISTS account_by_click ON account (partner, click_id) WHERE campaign IS NOT NULL

-- The mapping click ↔ install (source §10).
CREATE TABLE IF NOT EXISTS install (
  partner     TEXT NOT NULL,
  install_id  TEXT NOT NULL,
  click_id    TEXT NOT NULL,
  campaign    TEXT,
  attribution TEXT NOT NULL,
  score       INTEGER,                        -- thousandths, of 'probable'
  PRIMARY KEY (partner, install_id)
) STRICT, WITHOUT ROWID

-- One row for each event that is posted; never changed. The second event of an id cannot come in, whoever posts it.
CREATE TABLE IF NOT EXISTS entry (
  id           INTEGER PRIMARY KEY,           -- that of the event in the inbox
  partner      TEXT    NOT NULL,
  event_id     TEXT    NOT NULL,
  event        TEXT    NOT NULL,
  ts_event     INTEGER NOT NULL,              -- ms, by the sender's clock
  received_at  INTEGER NOT NULL,              -- ms
  posted_at    INTEGER NOT NULL,              -- ms
  key_id       TEXT    NOT NULL,
  source       TEXT,
  receipt      TEXT    NOT NULL,
  payload_hash BLOB    NOT NULL,              -- SHA-256 of the canonical payload as it was signed
  click_id     TEXT    NOT NULL,
  campaign     TEXT,                          -- NULL: unattributed
  attribution  TEXT    NOT NULL,              -- 'click', 'account', 'install', 'probable', 'none'
  score        INTEGER,                       -- thousandths, of 'probable'
  matched_by   TEXT,                          -- JSON: the click, and what the score was made of, where the event itself was matched
  account_id   TEXT,
  original     INTEGER,                       -- the entry that it undoes: a deposit, or a chargeback
  said_ftd     INTEGER,                       -- the operator's is_ftd: 0, 1, or NULL
  UNIQUE (partner, event_id)
) STRICT

CREATE INDEX IF NOT EXISTS entry_by_account ON entry (partner, account_id) WHERE account_id IS NOT NULL

CREATE INDEX IF NOT EXISTS entry_by_original ON entry (original) WHERE original IS NOT NULL

-- Money, in the currency of the transaction and in that of the reports. A correction is a further row.
CREATE TABLE IF NOT EXISTS posting (
  id              INTEGER PRIMARY KEY,
  entry           INTEGER NOT NULL,
  cause           INTEGER NOT NULL,           -- the entry that brought it about: a KYC makes an earlier deposit a first one; below zero a `redecision`
  kind            TEXT    NOT NULL,           -- 'deposit', 'bonus', 'refund', 'chargeback', 'chargeback_reversed', 'custom', 'cpa', 'revenue_share'
  currency        TEXT    NOT NULL,
  minor           INTEGER NOT NULL,           -- minor units; negative takes away
  exponent        INTEGER NOT NULL,           -- decimals of the currency
  report_currency TEXT    NOT NULL,
  report_minor    INTEGER NOT NULL,
  report_exponent INTEGER NOT NULL,
  rate_source     TEXT    NOT NULL,           -- 'ECB', or 'identity'
  rate_date       TEXT,                       -- YYYY-MM-DD
  rate_from       TEXT,                       -- units of `currency` for one euro
  rate_to         TEXT,                       -- units of `report_currency` for one euro
  posted_at       INTEGER NOT NULL,           -- ms
  UNIQUE (entry, kind, cause)
) STRICT

-- Whether a deposit is its player's first (source §8): the last row of a deposit holds.
CREATE TABLE IF NOT EXISTS verdict (
  id         INTEGER PRIMARY KEY,
  entry      INTEGER NOT NULL,
  cause      INTEGER NOT NULL,                -- the entry that brought it about; below zero a `redecision`
  verdict    TEXT    NOT NULL,                -- 'first', or why it is none
  decided_at INTEGER NOT NULL,                -- ms
  UNIQUE (entry, cause)
) STRICT

-- One first deposit per account: this key arbitrates, whatever was read before.
CREATE TABLE IF NOT EXISTS first_deposit (
  partner    TEXT    NOT NULL,
  account_id TEXT    NOT NULL,
  entry      INTEGER NOT NULL UNIQUE,
  PRIMARY KEY (partner, account_id)
) STRICT, WITHOUT ROWID

-- Ad spend by day and campaign.
CREATE TABLE IF NOT EXISTS cost (
  date            TEXT    NOT NULL,
  campaign        TEXT    NOT NULL,
  currency        TEXT    NOT NULL,
  minor           INTEGER NOT NULL,
  exponent        INTEGER NOT NULL,
  imported_at     INTEGER NOT NULL,
  PRIMARY KEY (date, campaign, currency)
) STRICT, WITHOUT ROWID

-- Only whose it was can be erased.
CREATE TRIGGER IF NOT EXISTS entry_stands BEFORE UPDATE OF id, partner, event_id, event, ts_event, received_at, posted_at, key_id, receipt,
  payload_hash, click_id, campaign, attribution, score, original, said_ftd ON entry BEGIN
  SELECT RAISE(ABORT, 'an entry is never changed; post a correction');
END

CREATE TRIGGER IF NOT EXISTS posting_stands BEFORE UPDATE ON posting BEGIN
  SELECT RAISE(ABORT, 'a posting is never changed; post a correction');
END

-- How often a batch was settled, or rates came in. What a batch decides rests on what it read, so it fails where another came between.
CREATE TABLE IF NOT EXISTS generation (
  id    INTEGER PRIMARY KEY CHECK (id = 1),
  count INTEGER NOT NULL
) STRICT

INSERT OR IGNORE INTO generation VALUES (1, 0)

-- Publishing rates is one insert here: days, and [day, currency, quote]. A day that was there is replaced; what waits for a rate
-- is due at once, and what is being decided at this moment is decided anew.
CREATE VIEW IF NOT EXISTS publishing (days, quotes, source, published_at) AS SELECT NULL, NULL, NULL, NULL

CREATE TRIGGER IF NOT EXISTS publish INSTEAD OF INSERT ON publishing BEGIN
  DELETE FROM rate WHERE date IN (SELECT value FROM json_each(NEW.days));
  INSERT OR REPLACE INTO rate_day (date, source) SELECT value, NEW.source FROM json_each(NEW.days);
  INSERT INTO rate (date, currency, quote) SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(NEW.quotes);
  INSERT INTO rate_import (imported_at, days) SELECT NEW.published_at, count(*) FROM json_each(NEW.days);
  UPDATE queue SET due_at = NEW.published_at WHERE waits_for = 'rate' AND lease IS NULL;
  UPDATE generation SET count = count + 1;
END

-- A batch is one insert here: what is posted, what waits on and what is dead, all or none (docs/decisions/0010). It fails as a
-- whole where the lease was lost, or where another worker was first; then look again. From `done` on, columns are JSON arrays.
CREATE VIEW IF NOT EXISTS settling (
  lease, settled_at,
  generation,                                 -- as it was before anything was read
  done,                                       -- inbox ids that leave the queue
  entries,                                    -- id, campaign, attribution, score, matched_by, account_id, original, said_ftd
  postings,                                   -- [entry, cause, kind], [currency, minor, exponent], the same of the report, [source, date, from, to]
  verdicts,                                   -- entry, cause, verdict
  firsts,                                     -- partner, account_id, entry, the entry that was the first before
  accounts,                                   -- partner, account_id, click_id, campaign, attribution, score, registered_at, kyc_at
  installs,                                   -- partner, install_id, click_id, campaign, attribution, score
  waiting,                                    -- inbox id, due_at, reason, waits_for
  dead                                        -- inbox id, reason, detail, attempts
) AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL

CREATE TRIGGER IF NOT EXISTS settle INSTEAD OF INSERT ON settling BEGIN
  SELECT RAISE(ABORT, 'countersign: raced') WHERE (SELECT count FROM generation) <> NEW.generation;
  UPDATE generation SET count = count + 1;
  SELECT RAISE(ABORT, 'countersign: lease lost') WHERE EXISTS (
    SELECT 1 FROM (SELECT value AS id FROM json_each(NEW.done) UNION ALL SELECT value ->> 0 FROM json_each(NEW.waiting)) AS mine
    WHERE NOT EXISTS (SELECT 1 FROM queue WHERE inbox_id = mine.id AND lease = NEW.lease));
  INSERT INTO entry (id, partner, event_id, event, ts_event, received_at, posted_at, key_id, source, receipt, payload_hash, click_id,
    campaign, attribution, score, matched_by, account_id, original, said_ftd)
    SELECT inbox.id, inbox.partner, inbox.event_id, inbox.event, inbox.ts_event, inbox.received_at, NEW.settled_at, inbox.key_id,
      inbox.source, inbox.receipt, inbox.payload_hash, inbox.click_id, row.value ->> 1, row.value ->> 2, row.value ->> 3,
      row.value ->> 4, row.value ->> 5, row.value ->> 6, row.value ->> 7
    FROM json_each(NEW.entries) AS row CROSS JOIN inbox ON inbox.id = row.value ->> 0;
  INSERT INTO posting (entry, cause, kind, currency, minor, exponent, report_currency, report_minor, report_exponent, rate_source,
    rate_date, rate_from, rate_to, posted_at)
    SELECT value ->> '$[0][0]', value ->> '$[0][1]', value ->> '$[0][2]', value ->> '$[1][0]', value ->> '$[1][1]',
      value ->> '$[1][2]', value ->> '$[2][0]', value ->> '$[2][1]', value ->> '$[2][2]', value ->> '$[3][0]', value ->> '$[3][1]',
      value ->> '$[3][2]', value ->> '$[3][3]', NEW.settled_at FROM json_each(NEW.postings);
  INSERT INTO verdict (entry, cause, verdict, decided_at)
    SELECT value ->> 0, value ->> 1, value ->> 2, NEW.settled_at FROM json_each(NEW.verdicts);
  DELETE FROM first_deposit WHERE entry IN (SELECT value ->> 3 FROM json_each(NEW.firsts));
  INSERT INTO first_deposit (partner, account_id, entry)
    SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(NEW.firsts);
  INSERT INTO account (partner, account_id, click_id, campaign, attribution, score, registered_at, kyc_at)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7
    FROM json_each(NEW.accounts) WHERE true
    ON CONFLICT (partner, account_id) DO UPDATE SET click_id = excluded.click_id, campaign = excluded.campaign,
      attribution = excluded.attribution, score = excluded.score, registered_at = excluded.registered_at, kyc_at = excluded.kyc_at;
  INSERT INTO install (partner, install_id, click_id, campaign, attribution, score)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM json_each(NEW.installs) WHERE true
    ON CONFLICT (partner, install_id) DO NOTHING;
  INSERT INTO dead_letter (inbox_id, reason, detail, attempts, died_at)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, NEW.settled_at FROM json_each(NEW.dead);
  DELETE FROM queue WHERE inbox_id IN (SELECT value FROM json_each(NEW.done));
  UPDATE queue SET lease = NULL, due_at = row.value ->> 1, reason = row.value ->> 2, waits_for = row.value ->> 3
    FROM json_each(NEW.waiting) AS row WHERE queue.inbox_id = row.value ->> 0;
  UPDATE queue SET due_at = NEW.settled_at WHERE due_at > NEW.settled_at AND lease IS NULL AND waits_for IN (
    SELECT 'event:' || inbox.partner || ':' || inbox.event_id
    FROM json_each(NEW.entries) AS row CROSS JOIN inbox ON inbox.id = row.value ->> 0);
END
