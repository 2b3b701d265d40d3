-- Accounts that were erased (source §9). Nothing here says whose they were.
CREATE TABLE IF NOT EXISTS erasure (
  pseudonym TEXT PRIMARY KEY,
  partner   TEXT    NOT NULL,
  erased_at INTEGER NOT NULL                  -- ms
) STRICT, WITHOUT ROWID

-- Erasing an account is one insert here. Sums stay, under the pseudonym; what was sent and seen of the person goes. A payload that
-- is over its retention, or damaged, is no JSON.
CREATE VIEW IF NOT EXISTS erasing (partner, account_id, pseudonym, erased_at) AS SELECT NULL, NULL, NULL, NULL

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
