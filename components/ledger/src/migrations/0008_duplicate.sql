-- Erasing an account (0005) takes out its fallback duplicates too. Their ids stay, as those of the inbox do.
CREATE TRIGGER IF NOT EXISTS erase_duplicates INSTEAD OF INSERT ON erasing BEGIN
  UPDATE duplicate SET payload = '', source = NULL WHERE partner = NEW.partner
    AND CASE WHEN json_valid(payload) THEN payload ->> 'account_id' END = NEW.account_id;
END
