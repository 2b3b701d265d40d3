-- Claims on events that are handed on elsewhere: pending under a lease, then committed. Never an event of the inbox.
CREATE TABLE IF NOT EXISTS claim (
  fingerprint      BLOB    PRIMARY KEY,       -- 16 bytes: as in the inbox
  payload_hash     BLOB    NOT NULL,          -- SHA-256 of the canonical payload
  lease_until      INTEGER NOT NULL,          -- ms; 0: committed
  remembered_until INTEGER NOT NULL,          -- ms
  claimed_at       INTEGER NOT NULL,          -- ms
  receipt_key      INTEGER                    -- mark of the key that made the receipt; NULL: claimed by version 1
) STRICT, WITHOUT ROWID

CREATE INDEX IF NOT EXISTS claim_by_end ON claim (remembered_until)

-- Every new claim takes two out that are over, so the table is bounded by the traffic of one retention.
CREATE TRIGGER IF NOT EXISTS claim_bounded AFTER INSERT ON claim BEGIN
  DELETE FROM claim WHERE fingerprint IN (
    SELECT fingerprint FROM claim
    WHERE remembered_until <= NEW.claimed_at AND lease_until <= NEW.claimed_at LIMIT 2);
END
