-- Three roles of least rights, in Keyturn's own database. Run it as the database's owner or a superuser, before the first `keyturn migrate`
-- and again after each: psql -v ON_ERROR_STOP=1 -f deploy/postgres/roles.sql "$ADMIN_URL". It may be run at any time, and changes no data.
-- Then give those that you use a password: ALTER ROLE keyturn_serve PASSWORD '…';
--
--   keyturn_migrate  owns the schema: for `keyturn migrate` alone
--   keyturn_serve    for the server and all other commands: changes no schema, and cannot rewrite the audit log
--   keyturn_token    reads what a token request is decided by, and no sealed copy, operator token or audit event; writes nothing

DO $$
DECLARE role text;
BEGIN
  FOREACH role IN ARRAY ARRAY['keyturn_migrate', 'keyturn_serve', 'keyturn_token'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
      EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION', role);
    END IF;
  END LOOP;
END $$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO keyturn_migrate;
GRANT USAGE ON SCHEMA public TO keyturn_serve, keyturn_token;

-- What the server sets for itself on a direct connection; behind a pooler it cannot.
ALTER ROLE keyturn_serve SET statement_timeout = '5s';
ALTER ROLE keyturn_token SET statement_timeout = '5s';
ALTER ROLE keyturn_token SET default_transaction_read_only = on;

-- A schema that was made by another user before.
DO $$
DECLARE thing record;
BEGIN
  FOR thing IN SELECT oid::regclass AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') LOOP
    EXECUTE format('ALTER TABLE %s OWNER TO keyturn_migrate', thing.name);
  END LOOP;
  FOR thing IN SELECT oid::regprocedure AS name FROM pg_proc WHERE pronamespace = 'public'::regnamespace LOOP
    EXECUTE format('ALTER FUNCTION %s OWNER TO keyturn_migrate', thing.name);
  END LOOP;
END $$;

REVOKE ALL ON ALL TABLES IN SCHEMA public FROM keyturn_serve, keyturn_token, PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO keyturn_serve;

DO $$
BEGIN
  IF to_regclass('public.audit_events') IS NULL THEN RETURN; END IF; -- before the first migration
  REVOKE UPDATE, DELETE ON audit_events FROM keyturn_serve;
  REVOKE INSERT, DELETE ON audit_anchor FROM keyturn_serve;
  REVOKE INSERT, UPDATE, DELETE ON migrations FROM keyturn_serve;
  GRANT SELECT ON clients, client_ids, access_keys, changes, migrations TO keyturn_token;
  GRANT SELECT (id, client, access_key, client_id, generation, verifier, key_version, hint, created_at, retires_at, ended_as)
    ON secrets TO keyturn_token;
END $$;
