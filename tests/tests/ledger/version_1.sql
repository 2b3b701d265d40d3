-- The tables as version 1 made them (2026-11-29), which wrote no version of its own. A test opens such a database; nothing else does.

-- The inbox: one row is one accepted event, and the claim on it (docs/decisions/0006-mode.md). No row is ever pending.
CREATE TABLE IF NOT EXISTS inbox (
  id               INTEGER PRIMARY KEY,       -- the order of receipt
  fingerprint      BLOB    UNIQUE,            -- 16 bytes: the name of the event among all events of all partners; NULL: forgotten
  payload_hash     BLOB    NOT NULL,          -- SHA-256 of the canonical payload
  remembered_until INTEGER NOT NULL,          -- ms: a repeat after that is a new event; this row stays
  partner          TEXT    NOT NULL,
  event_id         TEXT    NOT NULL,
  event            TEXT    NOT NULL,
  click_id         TEXT    NOT NULL,
  ts_event         INTEGER NOT NULL,          -- ms, by the sender's clock
  key_id           TEXT    NOT NULL,          -- 'hop' for attested events
  source           TEXT,
  receipt          TEXT    NOT NULL,
  payload          TEXT    NOT NULL,          -- canonical (RFC 8785)
  received_at      INTEGER NOT NULL           -- ms, by our clock
) STRICT
;

-- Claims on events that are handed on elsewhere: pending under a lease, then committed. Never an event of the inbox.
CREATE TABLE IF NOT EXISTS claim (
  fingerprint      BLOB    PRIMARY KEY,       -- 16 bytes: as in the inbox
  payload_hash     BLOB    NOT NULL,          -- SHA-256 of the canonical payload
  lease_until      INTEGER NOT NULL,          -- ms; 0: committed
  remembered_until INTEGER NOT NULL,          -- ms
  claimed_at       INTEGER NOT NULL           -- ms
) STRICT, WITHOUT ROWID
;

CREATE INDEX IF NOT EXISTS claim_by_end ON claim (remembered_until)
;

-- Every new claim takes two out that are over, so the table is bounded by the traffic of one retention.
CREATE TRIGGER IF NOT EXISTS claim_bounded AFTER INSERT ON claim BEGIN
  DELETE FROM claim WHERE fingerprint IN (
    SELECT fingerprint FROM claim
    WHERE remembered_until <= NEW.claimed_at AND lease_until <= NEW.claimed_at LIMIT 2);
END
;

-- The weaker identity of an event (source §8): click and event type, held by one event for the length of a window.
CREATE TABLE IF NOT EXISTS fallback (
  fingerprint  BLOB    PRIMARY KEY,           -- 16 bytes: partner, event type, click_id
  claimed_by   BLOB    NOT NULL,              -- fingerprint of the event that holds it
  event_id     TEXT    NOT NULL,              -- that event's id, for "duplicate_of"
  lease_until  INTEGER NOT NULL,              -- ms; 0: committed
  window_until INTEGER NOT NULL,              -- ms
  claimed_at   INTEGER NOT NULL               -- ms: the window begins here
) STRICT, WITHOUT ROWID
;

CREATE INDEX IF NOT EXISTS fallback_by_end ON fallback (window_until)
;

-- Every new identity takes two out that are over, so the table is bounded by the traffic of one window.
CREATE TRIGGER IF NOT EXISTS fallback_bounded AFTER INSERT ON fallback BEGIN
  DELETE FROM fallback WHERE fingerprint IN (
    SELECT fingerprint FROM fallback
    WHERE window_until <= NEW.claimed_at AND lease_until <= NEW.claimed_at LIMIT 2);
END
;

-- The quota of each partner of the configuration: the cell rate algorithm's one instant.
CREATE TABLE IF NOT EXISTS quota (
  partner TEXT    PRIMARY KEY,
  tat     INTEGER NOT NULL                    -- µs
) STRICT
;

-- Refusals by source, eight sources in each of a fixed number of slots: what unverified senders cause to be written must not grow.
CREATE TABLE IF NOT EXISTS throttle (
  slot   INTEGER NOT NULL,
  source INTEGER NOT NULL,                    -- the eight bytes of the source's key
  tat    INTEGER NOT NULL,                    -- µs
  PRIMARY KEY (slot, source)
) STRICT, WITHOUT ROWID
;

-- A ninth source pushes out the one that is nearest to being forgiven anyway.
CREATE TRIGGER IF NOT EXISTS throttle_bounded AFTER INSERT ON throttle BEGIN
  DELETE FROM throttle WHERE slot = NEW.slot AND source <> NEW.source AND source NOT IN (
    SELECT source FROM throttle
    WHERE slot = NEW.slot AND source <> NEW.source ORDER BY tat DESC LIMIT 7);
END
;

-- Claims come in here, those of several requests as the rows of one insert, hence with one commit. A row is quota, event and
-- fallback identity, all or none: it is passed over where the event cannot be accepted as it stands, and the others are not. While
-- SQLite waits for its lock and while it has it, no second statement has to come: on Spin that one might find no thread left.
CREATE VIEW IF NOT EXISTS arriving (
  place,                                      -- among the rows of the statement; negative: asks for its partner's tat; NULL: not a row
  fingerprint,                                -- NULL: only the quota is spent
  payload_hash, remembered_until, partner, event_id, event, click_id, ts_event, key_id, source, receipt, payload,
  claimed_at,                                 -- ms, by our clock
  lease_until,                                -- ms: the event is handed on elsewhere meanwhile; NULL: it goes into the inbox
  fallback, window_until,                     -- NULL: the event is told apart by its id alone
  now_us, interval_us, window_us, step_us,    -- NULL: the event spends no quota
  slot, throttled, limited_over, limited_to   -- NULL: nobody asks about the source's refusals
) AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
  NULL, NULL, NULL, NULL, NULL
;

-- `RETURNING` names the rows that are passed over, and those that ask for a tat: `IGNORE` takes nothing back, and ends the row without a word. So a
-- statement answers in a few rows however many it brings in. (Spin reads four rows ahead of the guest; with a fifth the statement
-- stands still, lock and all.) A row that is there already rules a new one out whatever it says: who reads it decides.
-- The quota is spent by the arithmetic of `Rate::decide` (core/src/rate.rs); what is negative was not stored by it.
CREATE TRIGGER IF NOT EXISTS arriving_admitted INSTEAD OF INSERT ON arriving WHEN NEW.place IS NULL OR NEW.place >= 0
  AND NOT EXISTS (SELECT 1 FROM throttle WHERE slot = NEW.slot AND source = NEW.throttled
    AND (tat < 0 OR tat > NEW.limited_over AND tat <= NEW.limited_to))
  AND NOT EXISTS (SELECT 1 FROM quota WHERE partner = NEW.partner AND NEW.now_us IS NOT NULL AND (tat < 0
    OR tat > NEW.now_us + NEW.window_us - NEW.interval_us AND tat <= NEW.now_us + NEW.window_us + NEW.step_us))
  AND NOT EXISTS (SELECT 1 FROM inbox WHERE fingerprint = NEW.fingerprint)
  AND NOT EXISTS (SELECT 1 FROM claim WHERE fingerprint = NEW.fingerprint)
  AND NOT EXISTS (SELECT 1 FROM fallback WHERE fingerprint = NEW.fallback)
BEGIN
  INSERT INTO quota (partner, tat)
    SELECT NEW.partner, NEW.now_us + NEW.interval_us WHERE NEW.now_us IS NOT NULL
    ON CONFLICT (partner) DO UPDATE SET tat = CASE
      WHEN tat > NEW.now_us + NEW.window_us + NEW.step_us THEN NEW.now_us + NEW.window_us
      ELSE max(tat, NEW.now_us) + NEW.interval_us END;
  INSERT INTO inbox (fingerprint, payload_hash, remembered_until, partner, event_id, event, click_id, ts_event, key_id, source,
    receipt, payload, received_at)
    SELECT NEW.fingerprint, NEW.payload_hash, NEW.remembered_until, NEW.partner, NEW.event_id, NEW.event, NEW.click_id,
      NEW.ts_event, NEW.key_id, NEW.source, NEW.receipt, NEW.payload, NEW.claimed_at
      WHERE NEW.fingerprint IS NOT NULL AND NEW.lease_until IS NULL;
  INSERT INTO claim (fingerprint, payload_hash, lease_until, remembered_until, claimed_at)
    SELECT NEW.fingerprint, NEW.payload_hash, NEW.lease_until, NEW.lease_until, NEW.claimed_at
      WHERE NEW.fingerprint IS NOT NULL AND NEW.lease_until IS NOT NULL;
  INSERT INTO fallback (fingerprint, claimed_by, event_id, lease_until, window_until, claimed_at)
    SELECT NEW.fallback, NEW.fingerprint, NEW.event_id, coalesce(NEW.lease_until, 0), NEW.window_until, NEW.claimed_at
      WHERE NEW.fallback IS NOT NULL;
  SELECT RAISE(IGNORE);
END
;

-- What is still to be posted: one row for each event of the inbox until its entry, or its dead letter, is written.
CREATE TABLE IF NOT EXISTS queue (
  inbox_id  INTEGER PRIMARY KEY,              -- the event
  due_at    INTEGER NOT NULL,                 -- ms: no worker takes it before; while one has it, the end of its lease
  lease     INTEGER,                          -- the worker that has it
  attempts  INTEGER NOT NULL DEFAULT 0,       -- how often a worker took it
  reason    TEXT,                             -- why it waits
  waits_for TEXT                              -- what ends the waiting: 'click:…', 'event:…', 'rate'
) STRICT
;

CREATE INDEX IF NOT EXISTS queue_by_due ON queue (due_at)
;

CREATE INDEX IF NOT EXISTS queue_by_wait ON queue (waits_for) WHERE waits_for IS NOT NULL
;

-- Accepted and queued are one commit.
CREATE TRIGGER IF NOT EXISTS inbox_queued AFTER INSERT ON inbox BEGIN
  INSERT INTO queue (inbox_id, due_at) VALUES (NEW.id, NEW.received_at);
END
;

-- Whose run goes on by itself.
CREATE TABLE IF NOT EXISTS run (
  id     INTEGER PRIMARY KEY CHECK (id = 1),
  worker INTEGER NOT NULL,
  until  INTEGER NOT NULL                     -- ms: without a sign of life, another one's may begin
) STRICT
;

-- Payloads that are over their retention are found without reading all that are not.
CREATE INDEX IF NOT EXISTS inbox_by_age ON inbox (received_at) WHERE payload <> ''
;

-- Events that cannot be posted, until they are replayed. A discarded one stays for the length of the retention.
CREATE TABLE IF NOT EXISTS dead_letter (
  inbox_id     INTEGER PRIMARY KEY,           -- the event
  reason       TEXT    NOT NULL,              -- docs/ledger.md has the list
  detail       TEXT    NOT NULL,              -- the last error, with what to do
  attempts     INTEGER NOT NULL,
  died_at      INTEGER NOT NULL,              -- ms
  discarded_at INTEGER,                       -- ms; NULL: may be replayed
  discarded_as TEXT                           -- the reason that was given
) STRICT
;

CREATE INDEX IF NOT EXISTS dead_letter_by_reason ON dead_letter (reason, inbox_id)
;

-- A replay is one insert here: back into the queue as it was accepted, due at once.
CREATE VIEW IF NOT EXISTS replay (inbox_id, due_at) AS SELECT NULL, NULL
;

CREATE TRIGGER IF NOT EXISTS replayed INSTEAD OF INSERT ON replay BEGIN
  INSERT INTO queue (inbox_id, due_at) SELECT inbox_id, NEW.due_at FROM dead_letter
    WHERE inbox_id = NEW.inbox_id AND discarded_at IS NULL;
  DELETE FROM dead_letter WHERE inbox_id = NEW.inbox_id AND discarded_at IS NULL;
END
;

-- Clicks (source §2), in the order of their ids, hence of time. What stands behind `counted` goes with the retention of clicks.
CREATE TABLE IF NOT EXISTS click (
  click_id          TEXT    PRIMARY KEY,      -- the plain id, clk_…, also where the operator got it sealed
  campaign          TEXT    NOT NULL,
  partner           TEXT    NOT NULL,
  clicked_at        INTEGER NOT NULL,         -- ms, by our clock; the id says the same
  kind              TEXT    NOT NULL CHECK (kind IN ('click', 'head', 'prefetch', 'bot')),
  counted           INTEGER NOT NULL CHECK (counted IN (0, 1)),
  utm_source        TEXT,                     -- these twelve: at most 128 bytes each
  utm_medium        TEXT,
  utm_campaign      TEXT,
  utm_term          TEXT,
  utm_content       TEXT,
  sub1              TEXT,
  sub2              TEXT,
  sub3              TEXT,
  sub4              TEXT,
  sub5              TEXT,
  creative_id       TEXT,
  consent_version   TEXT,
  consent_analytics INTEGER CHECK (consent_analytics IN (0, 1)),  -- NULL: nothing was said
  consent_ads       INTEGER CHECK (consent_ads IN (0, 1)),
  cut               TEXT,                     -- the columns that hold the beginning of a longer value, with commas between
  referrer_host     TEXT,
  geo               TEXT,                     -- two capital letters
  device_class      TEXT,
  ip_prefix         TEXT,                     -- the address of the /24 or /48
  ip                TEXT,                     -- whole; NULL without consent_analytics
  agent             TEXT,                     -- product, major version and system
  user_agent        TEXT                      -- whole; NULL without consent_analytics
) STRICT, WITHOUT ROWID
;

-- An event without a click id is matched with a click of its partner's, shortly before it, from its network …
CREATE INDEX IF NOT EXISTS click_by_network ON click (partner, ip_prefix, clicked_at) WHERE kind = 'click'
;

-- … or from its country and a device of its class.
CREATE INDEX IF NOT EXISTS click_by_country ON click (partner, geo, device_class, clicked_at) WHERE kind = 'click' AND geo IS NOT NULL
;

-- What is over its retention is found without reading all that is not: the device class goes with it.
CREATE INDEX IF NOT EXISTS click_by_age ON click (clicked_at) WHERE device_class IS NOT NULL
;

-- Clicks that could not be stored. Each instance of the redirector writes its own count, which only grows: writing it again changes
-- nothing. The sum is what was lost.
CREATE TABLE IF NOT EXISTS click_lost (
  day      INTEGER NOT NULL,                  -- of the click, in UTC, counted from 1970-01-01
  campaign TEXT    NOT NULL,
  instance INTEGER NOT NULL,
  count    INTEGER NOT NULL,
  PRIMARY KEY (day, campaign, instance)
) STRICT, WITHOUT ROWID
;

-- It remembers 400 days.
CREATE TRIGGER IF NOT EXISTS click_lost_bounded AFTER INSERT ON click_lost BEGIN
  DELETE FROM click_lost WHERE day < NEW.day - 400;
END
;

-- An event that came before its click waits no longer.
CREATE TRIGGER IF NOT EXISTS click_wakes AFTER INSERT ON click BEGIN
  UPDATE queue SET due_at = min(due_at, NEW.clicked_at) WHERE waits_for = 'click:' || NEW.click_id;
END
;

-- Exchange rates by day (source §7). A day without a quote is there too: an older day's rate must not stand in for it.
CREATE TABLE IF NOT EXISTS rate_day (
  date   TEXT PRIMARY KEY,                    -- YYYY-MM-DD
  source TEXT NOT NULL                        -- 'ECB'
) STRICT, WITHOUT ROWID
;

CREATE TABLE IF NOT EXISTS rate (
  date     TEXT NOT NULL,
  currency TEXT NOT NULL,                     -- three letters; withdrawn ones too
  quote    TEXT NOT NULL,                     -- units for one euro, an exact decimal
  PRIMARY KEY (date, currency)
) STRICT, WITHOUT ROWID
;

-- Each import of rates: what was read before may be old.
CREATE TABLE IF NOT EXISTS rate_import (
  id          INTEGER PRIMARY KEY,
  imported_at INTEGER NOT NULL,               -- ms
  days        INTEGER NOT NULL
) STRICT
;

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
;

-- A click that a player has is matched with no other one.
CREATE INDEX IF NOT EXISTS account_by_click ON account (partner, click_id) WHERE campaign IS NOT NULL
;

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
;

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
  original     INTEGER,                       -- the entry that a refund or chargeback takes back
  said_ftd     INTEGER,                       -- the operator's is_ftd: 0, 1, or NULL
  UNIQUE (partner, event_id)
) STRICT
;

CREATE INDEX IF NOT EXISTS entry_by_account ON entry (partner, account_id) WHERE account_id IS NOT NULL
;

CREATE INDEX IF NOT EXISTS entry_by_original ON entry (original) WHERE original IS NOT NULL
;

-- Money, in the currency of the transaction and in that of the reports. A correction is a further row.
CREATE TABLE IF NOT EXISTS posting (
  id              INTEGER PRIMARY KEY,
  entry           INTEGER NOT NULL,
  cause           INTEGER NOT NULL,           -- the entry that brought it about: a KYC makes an earlier deposit a first one; below zero a `redecision`
  kind            TEXT    NOT NULL,           -- 'deposit', 'bonus', 'refund', 'chargeback', 'custom', 'cpa', 'revenue_share'
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
;

-- Whether a deposit is its player's first (source §8): the last row of a deposit holds.
CREATE TABLE IF NOT EXISTS verdict (
  id         INTEGER PRIMARY KEY,
  entry      INTEGER NOT NULL,
  cause      INTEGER NOT NULL,                -- the entry that brought it about; below zero a `redecision`
  verdict    TEXT    NOT NULL,                -- 'first', or why it is none
  decided_at INTEGER NOT NULL,                -- ms
  UNIQUE (entry, cause)
) STRICT
;

-- One first deposit per account: this key arbitrates, whatever was read before.
CREATE TABLE IF NOT EXISTS first_deposit (
  partner    TEXT    NOT NULL,
  account_id TEXT    NOT NULL,
  entry      INTEGER NOT NULL UNIQUE,
  PRIMARY KEY (partner, account_id)
) STRICT, WITHOUT ROWID
;

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
;

-- Only whose it was can be erased.
CREATE TRIGGER IF NOT EXISTS entry_stands BEFORE UPDATE OF id, partner, event_id, event, ts_event, received_at, posted_at, key_id, receipt,
  payload_hash, click_id, campaign, attribution, score, original, said_ftd ON entry BEGIN
  SELECT RAISE(ABORT, 'an entry is never changed; post a correction');
END
;

CREATE TRIGGER IF NOT EXISTS posting_stands BEFORE UPDATE ON posting BEGIN
  SELECT RAISE(ABORT, 'a posting is never changed; post a correction');
END
;

-- How often a batch was settled, or rates came in. What a batch decides rests on what it read, so it fails where another came between.
CREATE TABLE IF NOT EXISTS generation (
  id    INTEGER PRIMARY KEY CHECK (id = 1),
  count INTEGER NOT NULL
) STRICT
;

INSERT OR IGNORE INTO generation VALUES (1, 0)
;

-- Publishing rates is one insert here: days, and [day, currency, quote]. A day that was there is replaced; what waits for a rate
-- is due at once, and what is being decided at this moment is decided anew.
CREATE VIEW IF NOT EXISTS publishing (days, quotes, source, published_at) AS SELECT NULL, NULL, NULL, NULL
;

CREATE TRIGGER IF NOT EXISTS publish INSTEAD OF INSERT ON publishing BEGIN
  DELETE FROM rate WHERE date IN (SELECT value FROM json_each(NEW.days));
  INSERT OR REPLACE INTO rate_day (date, source) SELECT value, NEW.source FROM json_each(NEW.days);
  INSERT INTO rate (date, currency, quote) SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(NEW.quotes);
  INSERT INTO rate_import (imported_at, days) SELECT NEW.published_at, count(*) FROM json_each(NEW.days);
  UPDATE queue SET due_at = NEW.published_at WHERE waits_for = 'rate' AND lease IS NULL;
  UPDATE generation SET count = count + 1;
END
;

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
;

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
;

-- Refused requests of senders who proved who they are (source §15): up to 1,000 for each partner and hour.
CREATE TABLE IF NOT EXISTS rejection (
  id          INTEGER PRIMARY KEY,
  partner     TEXT    NOT NULL,
  hour        INTEGER NOT NULL,               -- hours since the Unix epoch
  rejected_at INTEGER NOT NULL,               -- ms
  code        TEXT    NOT NULL,               -- docs/rejects.md
  detail      TEXT    NOT NULL,
  event       TEXT,
  event_id    TEXT,
  key_id      TEXT    NOT NULL,
  source      TEXT
) STRICT
;

CREATE INDEX IF NOT EXISTS rejection_by_partner ON rejection (partner, hour)
;

CREATE INDEX IF NOT EXISTS rejection_by_age ON rejection (rejected_at)
;

-- All refusals by code, those beyond the bound and those of unknown senders (partner '') too.
CREATE TABLE IF NOT EXISTS rejection_count (
  hour    INTEGER NOT NULL,
  partner TEXT    NOT NULL,
  code    TEXT    NOT NULL,
  count   INTEGER NOT NULL,
  PRIMARY KEY (hour, partner, code)
) STRICT, WITHOUT ROWID
;

-- A refusal is one insert here; `count` of them, of which the row tells of one.
CREATE VIEW IF NOT EXISTS refusal (partner, rejected_at, code, detail, event, event_id, key_id, source, count) AS
  SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
;

CREATE TRIGGER IF NOT EXISTS refused INSTEAD OF INSERT ON refusal BEGIN
  INSERT INTO rejection (partner, hour, rejected_at, code, detail, event, event_id, key_id, source)
    SELECT NEW.partner, NEW.rejected_at / 3600000, NEW.rejected_at, NEW.code, NEW.detail, NEW.event, NEW.event_id, NEW.key_id, NEW.source
    WHERE NEW.key_id IS NOT NULL
      AND (SELECT count(*) FROM rejection WHERE partner = NEW.partner AND hour = NEW.rejected_at / 3600000) < 1000;
  INSERT INTO rejection_count (hour, partner, code, count) VALUES (NEW.rejected_at / 3600000, NEW.partner, NEW.code, NEW.count)
    ON CONFLICT (hour, partner, code) DO UPDATE SET count = count + excluded.count;
END
;

-- Accounts that were erased (source §9). Nothing here says whose they were.
CREATE TABLE IF NOT EXISTS erasure (
  pseudonym TEXT PRIMARY KEY,
  partner   TEXT    NOT NULL,
  erased_at INTEGER NOT NULL                  -- ms
) STRICT, WITHOUT ROWID
;

-- Erasing an account is one insert here. Sums stay, under the pseudonym; what was sent and seen of the person goes. A payload that
-- is over its retention, or damaged, is no JSON.
CREATE VIEW IF NOT EXISTS erasing (partner, account_id, pseudonym, erased_at) AS SELECT NULL, NULL, NULL, NULL
;

CREATE TRIGGER IF NOT EXISTS erase INSTEAD OF INSERT ON erasing BEGIN
  SELECT RAISE(ABORT, 'countersign: still queued') WHERE EXISTS (SELECT 1 FROM queue JOIN inbox ON inbox.id = inbox_id
    WHERE inbox.partner = NEW.partner AND CASE WHEN json_valid(inbox.payload) THEN inbox.payload ->> 'account_id' END = NEW.account_id);
  INSERT INTO erasure (pseudonym, partner, erased_at) VALUES (NEW.pseudonym, NEW.partner, NEW.erased_at);
  UPDATE generation SET count = count + 1;
  UPDATE click SET utm_source = NULL, utm_medium = NULL, utm_campaign = NULL, utm_term = NULL, utm_content = NULL, sub1 = NULL,
    sub2 = NULL, sub3 = NULL, sub4 = NULL, sub5 = NULL, creative_id = NULL, consent_version = NULL, consent_analytics = NULL,
    consent_ads = NULL, cut = NULL, referrer_host = NULL, geo = NULL, device_class = NULL, ip_prefix = NULL, ip = NULL, agent = NULL,
    user_agent = NULL
    WHERE partner = NEW.partner AND click_id IN (
      SELECT click_id FROM entry WHERE partner = NEW.partner AND account_id = NEW.account_id
      UNION SELECT matched_by ->> 'click_id' FROM entry WHERE partner = NEW.partner AND account_id = NEW.account_id
      UNION SELECT click_id FROM account WHERE partner = NEW.partner AND account_id = NEW.account_id);
  DELETE FROM install WHERE partner = NEW.partner AND click_id IN (
      SELECT click_id FROM entry WHERE partner = NEW.partner AND account_id = NEW.account_id
      UNION SELECT matched_by ->> 'click_id' FROM entry WHERE partner = NEW.partner AND account_id = NEW.account_id
      UNION SELECT click_id FROM account WHERE partner = NEW.partner AND account_id = NEW.account_id);
  UPDATE inbox SET payload = '', source = NULL WHERE partner = NEW.partner
    AND CASE WHEN json_valid(payload) THEN payload ->> 'account_id' END = NEW.account_id;
  DELETE FROM dead_letter WHERE inbox_id IN (SELECT id FROM inbox WHERE partner = NEW.partner AND payload = '')
    AND inbox_id NOT IN (SELECT id FROM entry);
  UPDATE first_deposit SET account_id = NEW.pseudonym WHERE partner = NEW.partner AND account_id = NEW.account_id;
  UPDATE account SET account_id = NEW.pseudonym WHERE partner = NEW.partner AND account_id = NEW.account_id;
  UPDATE entry SET account_id = NEW.pseudonym, source = NULL, matched_by = NULL
    WHERE partner = NEW.partner AND account_id = NEW.account_id;
END
;

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
;

-- A batch is one insert here, all or none; it fails as a whole where something was settled since it was read. Then look again.
CREATE VIEW IF NOT EXISTS redeciding (
  id, partner, redecided_at, confirm, because, accounts, deposits,
  generation,                                 -- as it was before anything was read
  postings, verdicts,                         -- as in `settling`
  lost,                                       -- entries that are the first deposit no more
  firsts                                      -- as in `settling`
) AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
;

CREATE TRIGGER IF NOT EXISTS redecide INSTEAD OF INSERT ON redeciding BEGIN
  INSERT INTO redecision (id, partner, redecided_at, confirm, because, accounts, deposits)
    VALUES (NEW.id, NEW.partner, NEW.redecided_at, NEW.confirm, NEW.because, NEW.accounts, NEW.deposits);
  DELETE FROM first_deposit WHERE entry IN (SELECT value FROM json_each(NEW.lost));
  INSERT INTO settling (settled_at, generation, done, entries, postings, verdicts, firsts, accounts, installs, waiting, dead)
    VALUES (NEW.redecided_at, NEW.generation, '[]', '[]', NEW.postings, NEW.verdicts, NEW.firsts, '[]', '[]', '[]', '[]');
END
;

-- What is over its retention is found without reading all that is not (source §9).
CREATE INDEX IF NOT EXISTS entry_by_age ON entry (received_at)
;

-- The ids of entries that are gone: none of them is posted again.
CREATE TABLE IF NOT EXISTS purged (
  partner      TEXT NOT NULL,
  event_id     TEXT NOT NULL,
  payload_hash BLOB NOT NULL,                 -- tells a repeat from an id that is used again
  PRIMARY KEY (partner, event_id)
) STRICT, WITHOUT ROWID
;

CREATE TRIGGER IF NOT EXISTS purged_stays BEFORE INSERT ON entry
WHEN EXISTS (SELECT 1 FROM purged WHERE partner = NEW.partner AND event_id = NEW.event_id) BEGIN
  SELECT RAISE(ABORT, 'countersign: purged');
END
;

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
;

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
;

-- A purge is one insert here: a JSON array of entries. Those that are gone already change nothing. A batch that is being decided at this
-- moment is decided anew. The first deposit of an account stays marked as its first, without its entry.
CREATE VIEW IF NOT EXISTS purging (entries) AS SELECT NULL
;

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
;
