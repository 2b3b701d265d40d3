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

CREATE INDEX IF NOT EXISTS rejection_by_partner ON rejection (partner, hour)

CREATE INDEX IF NOT EXISTS rejection_by_age ON rejection (rejected_at)

-- All refusals by code, those beyond the bound and those of unknown senders (partner '') too.
CREATE TABLE IF NOT EXISTS rejection_count (
  hour    INTEGER NOT NULL,
  partner TEXT    NOT NULL,
  code    TEXT    NOT NULL,
  count   INTEGER NOT NULL,
  PRIMARY KEY (hour, partner, code)
) STRICT, WITHOUT ROWID

-- A refusal is one insert here; `count` of them, of which the row tells of one.
CREATE VIEW IF NOT EXISTS refusal (partner, rejected_at, code, detail, event, event_id, key_id, source, count) AS
  SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL

CREATE TRIGGER IF NOT EXISTS refused INSTEAD OF INSERT ON refusal BEGIN
  INSERT INTO rejection (partner, hour, rejected_at, code, detail, event, event_id, key_id, source)
    SELECT NEW.partner, NEW.rejected_at / 3600000, NEW.rejected_at, NEW.code, NEW.detail, NEW.event, NEW.event_id, NEW.key_id, NEW.source
    WHERE NEW.key_id IS NOT NULL
      AND (SELECT count(*) FROM rejection WHERE partner = NEW.partner AND hour = NEW.rejected_at / 3600000) < 1000;
  INSERT INTO rejection_count (hour, partner, code, count) VALUES (NEW.rejected_at / 3600000, NEW.partner, NEW.code, NEW.count)
    ON CONFLICT (hour, partner, code) DO UPDATE SET count = count + excluded.count;
END
