-- What people see of their sessions, and when an unused one ends: expires_at moves with each use, up to the longest life of a session.
ALTER TABLE console_sessions
  ADD method       text NOT NULL DEFAULT 'operator_token', -- how the operator signed in: operator_token or link
  ADD address      text,                               -- at sign-in; null: a session of the previous version
  ADD user_agent   text,
  ADD last_seen_at timestamptz NOT NULL DEFAULT now();  -- to the minute
CREATE UNIQUE INDEX console_sessions_name ON console_sessions (name);

-- What the role keyturn_organization may do, a row for each table and policy. A migration that adds a table with an organization inserts its
-- row here, then calls limit_to_organizations(). Only the owner of the schema may write here, because the conditions are run as SQL.
CREATE TABLE organization_limits (
  table_name text NOT NULL,
  policy     text NOT NULL DEFAULT 'own_organization',
  -- The rows that the policy allows. {organization} and {contact} stand for the settings keyturn.organization and keyturn.contact. The
  -- queries in a condition are subject to the policies of the tables that they read.
  condition  text NOT NULL,
  privileges text DEFAULT 'SELECT, INSERT, UPDATE, DELETE', -- null: those of the other rows of the table
  PRIMARY KEY (table_name, policy)
);
INSERT INTO organization_limits (table_name, condition)
  SELECT name, 'organization = {organization}' FROM unnest(ARRAY['clients', 'contacts']) AS name
  UNION ALL VALUES
    ('organizations', 'id = {organization}'),
    ('access_keys', 'contact IN (SELECT id FROM contacts)'),
    ('operator_tokens', 'contact IN (SELECT id FROM contacts)'),
    ('client_ids', 'client IN (SELECT id FROM clients)'),
    ('authorization_tokens', 'client IN (SELECT id FROM clients)'),
    ('client_keys', 'client IN (SELECT id FROM clients)'),
    ('client_scopes', 'client IN (SELECT id FROM clients)'),
    ('rejected_requests', 'client IN (SELECT id FROM clients)'),
    ('access_key_scopes', 'access_key IN (SELECT id FROM access_keys)'),
    ('secrets', 'client IN (SELECT id FROM clients) OR access_key IN (SELECT id FROM access_keys)'),
    ('regenerations', 'client IN (SELECT id FROM clients) OR access_key IN (SELECT id FROM access_keys)'),
    ('idempotency_keys', 'operator IN (SELECT id::text FROM contacts)')
  UNION ALL
  -- Also the keys and certificates of clients, which have their own usage.
  SELECT name, 'owner IN (SELECT id FROM clients UNION ALL SELECT id FROM access_keys UNION ALL SELECT id FROM client_keys)'
  FROM unnest(ARRAY['usage_hours', 'usage_sources', 'usage_source_hours', 'usage_live_tokens']) AS name;
INSERT INTO organization_limits (table_name, condition, privileges) VALUES
  -- The server leaves the role before it appends events to the audit log.
  ('audit_events', 'organization = {organization}', 'SELECT'),
  -- Not the hash of the cookie, and not the verifier of the operator token.
  ('console_sessions', 'contact IN (SELECT id FROM contacts)',
    'SELECT (name, contact, method, address, user_agent, created_at, last_seen_at, expires_at), DELETE');

-- Creates the role keyturn_organization if it may, and the policies if the role exists. `keyturn migrate` and roles.sql call it each time.
CREATE OR REPLACE FUNCTION limit_to_organizations() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  organization CONSTANT text := $own$nullif(current_setting('keyturn.organization', true), '')::uuid$own$;
  contact CONSTANT text := $own$nullif(current_setting('keyturn.contact', true), '')$own$;
  rule record;
  condition text;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'keyturn_organization') THEN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolcreaterole)) THEN RETURN; END IF;
    BEGIN
      CREATE ROLE keyturn_organization NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; -- Another database of this server was migrated at the same time.
    END;
  END IF;
  IF NOT pg_has_role(current_user, 'keyturn_organization', 'MEMBER') THEN
    BEGIN
      EXECUTE format('GRANT keyturn_organization TO %I', current_user);
    EXCEPTION WHEN insufficient_privilege THEN NULL; -- roles.sql grants it to the role that serves.
    END;
  END IF;
  GRANT USAGE ON SCHEMA public TO keyturn_organization;
  -- Tables without an organization.
  GRANT SELECT, INSERT ON changes, access_tokens TO keyturn_organization;
  GRANT SELECT ON signing_keys TO keyturn_organization;
  FOR rule IN SELECT * FROM organization_limits LOOP
    IF rule.privileges IS NOT NULL THEN
      EXECUTE format('GRANT %s ON %I TO keyturn_organization', rule.privileges, rule.table_name);
    END IF;
    CONTINUE WHEN EXISTS (SELECT FROM pg_policies WHERE schemaname = current_schema AND tablename = rule.table_name
      AND policyname = rule.policy);
    condition := replace(replace(rule.condition, '{organization}', organization), '{contact}', contact);
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', rule.table_name);
    EXECUTE format('DROP POLICY IF EXISTS everything ON %I', rule.table_name);
    EXECUTE format('CREATE POLICY everything ON %I USING (true) WITH CHECK (true)', rule.table_name);
    EXECUTE format('CREATE POLICY %I ON %I AS RESTRICTIVE TO keyturn_organization USING (%s) WITH CHECK (%s)',
      rule.policy, rule.table_name, condition, condition);
  END LOOP;
END $$;
SELECT limit_to_organizations();
