-- Creates four roles with least privilege in Keyturn's own database. Run it once, before the first `keyturn migrate`,
-- as the owner of the database or as a superuser:
--   psql -v ON_ERROR_STOP=1 -f deploy/postgres/roles.sql "$ADMIN_URL"
-- Then set passwords: ALTER ROLE keyturn_serve PASSWORD '…';
-- Running it again is safe and does not change data. In a database that another user has migrated, it transfers the
-- tables to keyturn_migrate.
--
--   keyturn_migrate  owns the schema; for `keyturn migrate` and `keyturn audit archive` only
--   keyturn_serve    for the server and all other commands: cannot change the schema and can only append to the audit log
--   keyturn_organization  for the server in transactions of operators of an organization: only what belongs to it
--   keyturn_token    reads the data that a token request depends on, but no sealed copies, operator tokens or audit events; cannot write
--
-- The default privileges here apply to all current and future tables. The migrations restrict them (restrict_roles).

DO $$
DECLARE role text;
BEGIN
  FOREACH role IN ARRAY ARRAY['keyturn_migrate', 'keyturn_serve', 'keyturn_token'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
      EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION', role);
    END IF;
  END LOOP;
  -- The server switches to this role in transactions of operators of an organization. Row-level security applies to it only,
  -- so the role that serves does not inherit it.
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'keyturn_organization') THEN
    CREATE ROLE keyturn_organization NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
  END IF;
  ALTER ROLE keyturn_serve NOINHERIT;
  GRANT keyturn_organization TO keyturn_serve;
  -- Make the current user a member of keyturn_migrate if it is not a superuser, as in a managed PostgreSQL: only a
  -- member can transfer tables to it.
  IF NOT pg_has_role('keyturn_migrate', 'MEMBER') THEN
    EXECUTE format('GRANT keyturn_migrate TO %I', current_user);
  END IF;
END $$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO keyturn_migrate;
GRANT USAGE ON SCHEMA public TO keyturn_serve, keyturn_token, keyturn_organization;

-- On a direct connection, the server sets these limits itself. Behind a pooler it cannot.
ALTER ROLE keyturn_serve SET statement_timeout = '5s';
ALTER ROLE keyturn_token SET statement_timeout = '5s';
ALTER ROLE keyturn_token SET default_transaction_read_only = on;

ALTER DEFAULT PRIVILEGES FOR ROLE keyturn_migrate IN SCHEMA public
  GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO keyturn_serve;

-- Transfer tables and functions that another user has created.
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

-- Run the function as the role that owns it: a superuser must not run code that a role with fewer privileges can
-- replace.
DO $$
BEGIN
  IF to_regprocedure('public.restrict_roles()') IS NULL THEN RETURN; END IF; -- before the first migration
  SET LOCAL ROLE keyturn_migrate;
  PERFORM public.restrict_roles();
  IF to_regprocedure('public.limit_to_organizations()') IS NOT NULL THEN PERFORM public.limit_to_organizations(); END IF;
  RESET ROLE;
END $$;
