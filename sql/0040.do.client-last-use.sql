-- When an integration was last used, at most a day late, so that unused ones are found by an index. Null: not since this column exists.
-- Exact times are in usage_sources.
ALTER TABLE clients ADD COLUMN last_used_at timestamptz;
