-- A claim is one insert here: quota, event and fallback identity, all or none. While SQLite waits for its lock and while it has it,
-- no second statement has to come: on Spin that one might find no thread left. It fails where a rival was first; then look again.
CREATE VIEW IF NOT EXISTS arrival (
  fingerprint, payload_hash, remembered_until, partner, event_id, event, click_id, ts_event, key_id, source, receipt, payload,
  claimed_at,                                 -- ms, by our clock
  lease_until,                                -- ms: the event is handed on elsewhere meanwhile; NULL: it goes into the inbox
  fallback, window_until,                     -- NULL: the event is told apart by its id alone
  now_us, interval_us, window_us, step_us     -- NULL: the event spends no quota
) AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL

CREATE TRIGGER IF NOT EXISTS arrive INSTEAD OF INSERT ON arrival BEGIN
  INSERT INTO spending (partner, now_us, interval_us, window_us, step_us)
    SELECT NEW.partner, NEW.now_us, NEW.interval_us, NEW.window_us, NEW.step_us WHERE NEW.now_us IS NOT NULL;
  SELECT RAISE(ABORT, 'countersign: known') WHERE EXISTS (
    SELECT 1 FROM inbox WHERE fingerprint = NEW.fingerprint UNION ALL SELECT 1 FROM claim WHERE fingerprint = NEW.fingerprint);
  INSERT INTO inbox (fingerprint, payload_hash, remembered_until, partner, event_id, event, click_id, ts_event, key_id, source,
    receipt, payload, received_at)
    SELECT NEW.fingerprint, NEW.payload_hash, NEW.remembered_until, NEW.partner, NEW.event_id, NEW.event, NEW.click_id,
      NEW.ts_event, NEW.key_id, NEW.source, NEW.receipt, NEW.payload, NEW.claimed_at WHERE NEW.lease_until IS NULL;
  INSERT INTO claim (fingerprint, payload_hash, lease_until, remembered_until, claimed_at)
    SELECT NEW.fingerprint, NEW.payload_hash, NEW.lease_until, NEW.lease_until, NEW.claimed_at WHERE NEW.lease_until IS NOT NULL;
  SELECT RAISE(ABORT, 'countersign: held') WHERE EXISTS (SELECT 1 FROM fallback WHERE fingerprint = NEW.fallback);
  INSERT INTO fallback (fingerprint, claimed_by, event_id, lease_until, window_until, claimed_at)
    SELECT NEW.fallback, NEW.fingerprint, NEW.event_id, coalesce(NEW.lease_until, 0), NEW.window_until, NEW.claimed_at
      WHERE NEW.fallback IS NOT NULL;
END
