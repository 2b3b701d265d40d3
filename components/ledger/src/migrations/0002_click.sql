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

-- An event without a click id is matched with a click of its partner's, shortly before it, from its network …
CREATE INDEX IF NOT EXISTS click_by_network ON click (partner, ip_prefix, clicked_at) WHERE kind = 'click'

-- … or from its country and a device of its class.
CREATE INDEX IF NOT EXISTS click_by_country ON click (partner, geo, device_class, clicked_at) WHERE kind = 'click' AND geo IS NOT NULL

-- What is over its retention is found without reading all that is not: the device class goes with it.
CREATE INDEX IF NOT EXISTS click_by_age ON click (clicked_at) WHERE device_class IS NOT NULL

-- Clicks that could not be stored. Each instance of the redirector writes its own count, which only grows: writing it again changes
-- nothing. The sum is what was lost.
CREATE TABLE IF NOT EXISTS click_lost (
  day      INTEGER NOT NULL,                  -- of the click, in UTC, counted from 1970-01-01
  campaign TEXT    NOT NULL,
  instance INTEGER NOT NULL,
  count    INTEGER NOT NULL,
  PRIMARY KEY (day, campaign, instance)
) STRICT, WITHOUT ROWID

-- It remembers 400 days.
CREATE TRIGGER IF NOT EXISTS click_lost_bounded AFTER INSERT ON click_lost BEGIN
  DELETE FROM click_lost WHERE day < NEW.day - 400;
END

-- An event that came before its click waits no longer.
CREATE TRIGGER IF NOT EXISTS click_wakes AFTER INSERT ON click BEGIN
  UPDATE queue SET due_at = min(due_at, NEW.clicked_at) WHERE waits_for = 'click:' || NEW.click_id;
END
