-- Identifies the history that this server continues: its system identifier, and its timeline, which increases when a standby is promoted.
-- Null if the server does not tell, as some managed services do not.
CREATE FUNCTION database_timeline() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  RETURN (SELECT system_identifier FROM pg_control_system()) || '.' || left(pg_walfile_name(pg_current_wal_lsn()), 8);
EXCEPTION WHEN OTHERS THEN
  RETURN NULL;
END $$;

-- The timeline on which a process last compared this database with the changes that it knows.
CREATE TABLE database_check (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  timeline  text
);
INSERT INTO database_check (timeline) VALUES (database_timeline());

-- Changes that a process knows and that this database has lost, and whose effects were restored.
CREATE TABLE lost_changes (
  seq        bigint NOT NULL,                          -- the number that the change had
  kind       text NOT NULL,
  target     text NOT NULL,
  expires_at timestamptz NOT NULL,
  found_at   timestamptz NOT NULL,
  PRIMARY KEY (seq, kind, target)
);
CREATE INDEX lost_changes_expires ON lost_changes (expires_at);
