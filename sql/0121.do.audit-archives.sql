-- Parts of the audit log that were written to files and deleted here. They begin at the first event and join each other without a gap, so the
-- table continues after the last one.
CREATE TABLE audit_archives (
  first_seq           bigint PRIMARY KEY,
  last_seq            bigint NOT NULL UNIQUE CHECK (last_seq >= first_seq),
  first_at            timestamptz NOT NULL,            -- of the first event
  previous_mac        bytea NOT NULL,                  -- of the event before the first one; empty if there is none
  mac                 bytea NOT NULL,                  -- of the last event
  digest              bytea NOT NULL,                  -- SHA-256 over the lines of the file that have events
  key_versions        text[] NOT NULL,                 -- of the root key that the events were written under, in this order
  root_key_rotated_at timestamptz,                     -- of the last rotation of the root key among the events
  file                text NOT NULL,                   -- its name without the directory
  archived_at         timestamptz NOT NULL,
  archived_by         text NOT NULL,                   -- as in audit_events.actor_name
  key_version         text NOT NULL,                   -- of the root key, for both HMACs
  file_seal           bytea NOT NULL,                  -- HMAC over the part of this row that is in the file too
  seal                bytea NOT NULL                   -- HMAC over this row
);
CREATE TRIGGER audit_archives_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_archives
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Events can be deleted only if they are archived. Their owner alone has the privilege (restrict_roles).
CREATE FUNCTION refuse_unarchived() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM deleted WHERE seq > (SELECT coalesce(max(last_seq), 0) FROM audit_archives)) THEN
    RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NULL;
END $$;
DROP TRIGGER audit_events_append_only ON audit_events;
CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR TRUNCATE ON audit_events
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_events_kept AFTER DELETE ON audit_events REFERENCING OLD TABLE AS deleted
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_unarchived();

-- The digest of a checkpoint covers the events after `base`, which is the last one that was archived then.
ALTER TABLE audit_checkpoints ADD COLUMN base bigint NOT NULL DEFAULT 0;
ALTER TABLE audit_checkpoints DROP CONSTRAINT audit_checkpoints_pkey, ADD PRIMARY KEY (key_version, base, seq);

-- As before, with audit_archives.
CREATE OR REPLACE FUNCTION restrict_roles() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  -- Roles belong to the whole server, so their existence does not mean that they are used in this database.
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'keyturn_serve') THEN RETURN; END IF;
  IF NOT has_table_privilege('keyturn_serve', 'changes', 'INSERT') THEN RETURN; END IF;
  REVOKE UPDATE, DELETE ON audit_events, audit_checkpoints FROM keyturn_serve;
  REVOKE INSERT, DELETE ON audit_anchor FROM keyturn_serve;
  REVOKE INSERT, UPDATE, DELETE ON migrations, organization_limits, audit_archives FROM keyturn_serve;
  GRANT SELECT ON clients, client_ids, access_keys, organizations, trusts, changes, migrations TO keyturn_token;
  GRANT SELECT (id, organization) ON contacts TO keyturn_token;
  GRANT SELECT (id, client, access_key, client_id, generation, verifier, key_version, hint, hash, created_at, retires_at, ended_as,
    registration) ON secrets TO keyturn_token;
END $$;
SELECT restrict_roles();
