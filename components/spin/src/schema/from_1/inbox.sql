DROP VIEW IF EXISTS arriving

-- Rows of version 1 do not say which key made their receipt.
ALTER TABLE inbox ADD COLUMN receipt_key INTEGER

-- Ids are remembered for good.
ALTER TABLE inbox DROP COLUMN remembered_until
