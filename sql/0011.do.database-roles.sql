-- Takes from the roles of deploy/postgres/roles.sql what they must not do with single tables, and does nothing in a database without them.
-- Called by the migration that adds such a table, and by roles.sql for tables that are there already.
CREATE FUNCTION restrict_roles() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  -- Roles belong to the whole server, so their existence does not mean that they are used in this database.
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'keyturn_serve') THEN RETURN; END IF;
  IF NOT has_table_privilege('keyturn_serve', 'changes', 'INSERT') THEN RETURN; END IF;
  REVOKE UPDATE, DELETE ON audit_events FROM keyturn_serve;
  REVOKE INSERT, DELETE ON audit_anchor FROM keyturn_serve;
  REVOKE INSERT, UPDATE, DELETE ON migrations FROM keyturn_serve;
  GRANT SELECT ON clients, client_ids, access_keys, changes, migrations TO keyturn_token;
  GRANT SELECT (id, client, access_key, client_id, generation, verifier, key_version, hint, created_at, retires_at, ended_as)
    ON secrets TO keyturn_token;
END $$;
SELECT restrict_roles();

-- The recorded end of the audit log only moves forward, so that setting it back takes the owner of the table.
CREATE FUNCTION refuse_earlier_anchor() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.seq < OLD.seq THEN RAISE EXCEPTION 'the end of the audit log only moves forward' USING ERRCODE = 'restrict_violation'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER audit_anchor_moves_forward BEFORE UPDATE ON audit_anchor FOR EACH ROW EXECUTE FUNCTION refuse_earlier_anchor();
