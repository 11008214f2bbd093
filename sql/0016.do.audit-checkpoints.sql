-- Places up to which the whole audit log was verified, sealed under the root key of that time. From there, later events can be verified
-- alone, and earlier ones without the root keys that they were written under.
CREATE TABLE audit_checkpoints (
  seq         bigint NOT NULL,                         -- of the last event that was verified
  mac         bytea NOT NULL,                          -- of that event
  digest      bytea NOT NULL,                          -- SHA-256 over all events up to there
  key_version text NOT NULL,
  seal        bytea NOT NULL,                          -- HMAC over this row
  PRIMARY KEY (key_version, seq)
);
CREATE TRIGGER audit_checkpoints_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_checkpoints
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE FUNCTION restrict_roles() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  -- Roles belong to the whole server, so their existence does not mean that they are used in this database.
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'keyturn_serve') THEN RETURN; END IF;
  IF NOT has_table_privilege('keyturn_serve', 'changes', 'INSERT') THEN RETURN; END IF;
  REVOKE UPDATE, DELETE ON audit_events, audit_checkpoints FROM keyturn_serve;
  REVOKE INSERT, DELETE ON audit_anchor FROM keyturn_serve;
  REVOKE INSERT, UPDATE, DELETE ON migrations FROM keyturn_serve;
  GRANT SELECT ON clients, client_ids, access_keys, changes, migrations TO keyturn_token;
  GRANT SELECT (id, client, access_key, client_id, generation, verifier, key_version, hint, created_at, retires_at, ended_as)
    ON secrets TO keyturn_token;
END $$;
SELECT restrict_roles();
