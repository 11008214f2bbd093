-- Creates three roles of least privilege in Keyturn's own database. Run it once, before the first `keyturn migrate`, as the database's owner
-- or a superuser: psql -v ON_ERROR_STOP=1 -f deploy/postgres/roles.sql "$ADMIN_URL". Running it again is safe and changes no data; on a
-- database that another user has migrated, it hands the tables over. Then set passwords: ALTER ROLE keyturn_serve PASSWORD '…';
--
--   keyturn_migrate  owns the schema; for `keyturn migrate` only
--   keyturn_serve    for the server and all other commands: cannot change the schema and can only append to the audit log
--   keyturn_token    reads what a token request is decided by, but no sealed copy, operator token or audit event; cannot write
--
-- What each role may do with a table is granted here once for all tables to come. The migrations narrow it (restrict_roles).

DO $$
DECLARE role text;
BEGIN
  FOREACH role IN ARRAY ARRAY['keyturn_migrate', 'keyturn_serve', 'keyturn_token'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
      EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION', role);
    END IF;
  END LOOP;
  -- A managed PostgreSQL has no superuser: only a member of a role may hand tables over to it.
  IF NOT pg_has_role('keyturn_migrate', 'MEMBER') THEN
    EXECUTE format('GRANT keyturn_migrate TO %I', current_user);
  END IF;
END $$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO keyturn_migrate;
GRANT USAGE ON SCHEMA public TO keyturn_serve, keyturn_token;

-- The server sets these itself on a direct connection. Behind a pooler it cannot.
ALTER ROLE keyturn_serve SET statement_timeout = '5s';
ALTER ROLE keyturn_token SET statement_timeout = '5s';
ALTER ROLE keyturn_token SET default_transaction_read_only = on;

ALTER DEFAULT PRIVILEGES FOR ROLE keyturn_migrate IN SCHEMA public
  GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO keyturn_serve;

-- Tables that another user has created before.
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

-- As the role that owns the function: a superuser must not run code that a lesser role can replace.
DO $$
BEGIN
  IF to_regprocedure('public.restrict_roles()') IS NULL THEN RETURN; END IF; -- before the first migration
  SET LOCAL ROLE keyturn_migrate;
  PERFORM public.restrict_roles();
  RESET ROLE;
END $$;
