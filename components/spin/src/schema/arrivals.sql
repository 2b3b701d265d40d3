-- Claims come in here, those of several requests as the rows of one insert, hence with one commit. A row is quota, event and
-- fallback identity, all or none; or quota and fallback duplicate. It is passed over where that cannot be, and the others are not. While
-- SQLite waits for its lock and while it has it, no second statement has to come: on Spin that one might find no thread left.
CREATE VIEW IF NOT EXISTS arriving (
  place,                                      -- among the rows of the statement; negative: asks for its partner's tat; NULL: not a row
  fingerprint,
  payload_hash, receipt_key, partner, event_id, event, click_id, ts_event, key_id, source, receipt, payload,
  claimed_at,                                 -- ms, by our clock
  lease_until,                                -- ms: the event is handed on elsewhere meanwhile; NULL: it goes into the inbox
  fallback, fallback_at, fallback_window,     -- NULL: the event is told apart by its id alone
  identity_until,
  duplicate_of,                               -- the event that holds its identity already; NULL: none may
  now_us, interval_us, window_us, step_us     -- NULL: the event spends no quota
) AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
  NULL, NULL, NULL, NULL

-- `RETURNING` names the rows that are passed over, and those that ask for a tat: `IGNORE` takes nothing back, and ends the row without a word. So a
-- statement answers in a few rows however many it brings in. (Spin reads four rows ahead of the guest; with a fifth the statement
-- stands still, lock and all.) A row that is there already rules a new one out whatever it says: who reads it decides.
-- The quota is spent by the arithmetic of `Rate::decide` (core/src/rate.rs); what is negative was not stored by it.
CREATE TRIGGER IF NOT EXISTS arriving_admitted INSTEAD OF INSERT ON arriving WHEN NEW.place IS NULL OR NEW.place >= 0
  AND NOT EXISTS (SELECT 1 FROM quota WHERE partner = NEW.partner AND NEW.now_us IS NOT NULL AND (tat < 0
    OR tat > NEW.now_us + NEW.window_us - NEW.interval_us AND tat <= NEW.now_us + NEW.window_us + NEW.step_us))
  AND NOT EXISTS (SELECT 1 FROM inbox WHERE fingerprint = NEW.fingerprint)
  AND NOT EXISTS (SELECT 1 FROM claim WHERE fingerprint = NEW.fingerprint)
  AND NOT EXISTS (SELECT 1 FROM duplicate WHERE fingerprint = NEW.fingerprint)
  AND (NEW.duplicate_of IS NOT NULL) = EXISTS (SELECT 1 FROM fallback WHERE fingerprint = NEW.fallback
    AND ts_event > NEW.fallback_at - NEW.fallback_window AND ts_event < NEW.fallback_at + NEW.fallback_window)
BEGIN
  INSERT INTO quota (partner, tat)
    SELECT NEW.partner, NEW.now_us + NEW.interval_us WHERE NEW.now_us IS NOT NULL
    ON CONFLICT (partner) DO UPDATE SET tat = CASE
      WHEN tat > NEW.now_us + NEW.window_us + NEW.step_us THEN NEW.now_us + NEW.window_us
      ELSE max(tat, NEW.now_us) + NEW.interval_us END;
  INSERT INTO inbox (fingerprint, payload_hash, partner, event_id, event, click_id, ts_event, key_id, source, receipt, payload,
    received_at, receipt_key)
    SELECT NEW.fingerprint, NEW.payload_hash, NEW.partner, NEW.event_id, NEW.event, NEW.click_id, NEW.ts_event, NEW.key_id,
      NEW.source, NEW.receipt, NEW.payload, NEW.claimed_at, NEW.receipt_key
      WHERE NEW.fingerprint IS NOT NULL AND NEW.duplicate_of IS NULL AND NEW.lease_until IS NULL;
  INSERT INTO claim (fingerprint, payload_hash, lease_until, remembered_until, claimed_at, receipt_key)
    SELECT NEW.fingerprint, NEW.payload_hash, NEW.lease_until, NEW.lease_until, NEW.claimed_at, NEW.receipt_key
      WHERE NEW.fingerprint IS NOT NULL AND NEW.duplicate_of IS NULL AND NEW.lease_until IS NOT NULL;
  INSERT INTO fallback (fingerprint, ts_event, claimed_by, event_id, lease_until, remembered_until, claimed_at)
    SELECT NEW.fallback, NEW.fallback_at, NEW.fingerprint, NEW.event_id, coalesce(NEW.lease_until, 0), NEW.identity_until,
      NEW.claimed_at
      WHERE NEW.fallback IS NOT NULL AND NEW.duplicate_of IS NULL;
  INSERT INTO duplicate (fingerprint, payload_hash, duplicate_of, partner, event_id, event, click_id, ts_event, key_id, source,
    payload, received_at)
    SELECT NEW.fingerprint, NEW.payload_hash, NEW.duplicate_of, NEW.partner, NEW.event_id, NEW.event, NEW.click_id, NEW.ts_event,
      NEW.key_id, NEW.source, NEW.payload, NEW.claimed_at
      WHERE NEW.duplicate_of IS NOT NULL;
  SELECT RAISE(IGNORE);
END
