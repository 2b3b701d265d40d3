-- Claims come in here, those of several requests as the rows of one insert, hence with one commit. A row is quota, event and
-- fallback identity, all or none: it is passed over where the event cannot be accepted as it stands, and the others are not. The rows
-- that `RETURNING` names are in. While SQLite waits for its lock and while it has it, no second statement has to come: on Spin that
-- one might find no thread left.
CREATE VIEW IF NOT EXISTS arrivals (
  place,                                      -- among the rows of the statement; NULL: not a row
  fingerprint,                                -- NULL: only the quota is spent
  payload_hash, remembered_until, partner, event_id, event, click_id, ts_event, key_id, source, receipt, payload,
  claimed_at,                                 -- ms, by our clock
  lease_until,                                -- ms: the event is handed on elsewhere meanwhile; NULL: it goes into the inbox
  fallback, window_until,                     -- NULL: the event is told apart by its id alone
  now_us, interval_us, window_us, step_us     -- NULL: the event spends no quota
) AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL

-- `IGNORE` passes over this row alone, and takes nothing back: whatever rules a row out comes before its first change. A row that is
-- there already rules it out whatever it says: who reads it decides.
-- The quota is spent by the arithmetic of `Rate::decide` (core/src/rate.rs); what is negative was not stored by it.
CREATE TRIGGER IF NOT EXISTS arrive_together INSTEAD OF INSERT ON arrivals BEGIN
  SELECT RAISE(IGNORE) WHERE NEW.place IS NULL;
  SELECT RAISE(IGNORE) FROM quota WHERE partner = NEW.partner AND NEW.now_us IS NOT NULL AND (tat < 0
    OR tat > NEW.now_us + NEW.window_us - NEW.interval_us AND tat <= NEW.now_us + NEW.window_us + NEW.step_us);
  SELECT RAISE(IGNORE) WHERE EXISTS (SELECT 1 FROM inbox WHERE fingerprint = NEW.fingerprint)
    OR EXISTS (SELECT 1 FROM claim WHERE fingerprint = NEW.fingerprint)
    OR EXISTS (SELECT 1 FROM fallback WHERE fingerprint = NEW.fallback);
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
END
