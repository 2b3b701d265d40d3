DROP TRIGGER IF EXISTS fallback_bounded

DROP INDEX IF EXISTS fallback_by_end

ALTER TABLE fallback RENAME TO fallback_1
