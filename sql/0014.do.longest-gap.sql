-- The longest time between two uses, in seconds, rounded up. Null: not recorded, so that it is at most the time from the first to the last use.
ALTER TABLE usage_sources ADD longest_gap_seconds integer;
