-- Operator tokens with a name and an end, beside the one of each contact in operator_tokens.
CREATE TABLE bounded_tokens (
  id           uuid PRIMARY KEY,
  contact      uuid NOT NULL REFERENCES contacts ON DELETE CASCADE,
  name         text NOT NULL,
  verifier     bytea NOT NULL UNIQUE,
  key_version  text NOT NULL,
  hint         text NOT NULL,
  permissions  text[] NOT NULL,                        -- what it may do at most
  organization uuid REFERENCES organizations ON DELETE CASCADE, -- that it is limited to; null: the reach of its contact
  networks     text[],                                 -- CIDRs that it is accepted from; null: any
  break_glass  boolean NOT NULL,                       -- whether each use is an alarm
  created_at   timestamptz NOT NULL,
  expires_at   timestamptz,                            -- null: never
  last_used_at timestamptz,                            -- to the minute
  -- For a token of `keyturn login`: the person at an identity provider, who can end it there. Null: any other.
  provider     text,
  subject      text,
  sid          text
);
CREATE INDEX bounded_tokens_contact ON bounded_tokens (contact);
CREATE INDEX bounded_tokens_expires ON bounded_tokens (expires_at);

-- As before, with bounded_tokens.
CREATE OR REPLACE FUNCTION limit_to_organizations() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  own CONSTANT text := $own$nullif(current_setting('keyturn.organization', true), '')::uuid$own$;
  owned CONSTANT text := 'owner IN (SELECT id FROM clients UNION ALL SELECT id FROM access_keys UNION ALL SELECT id FROM client_keys)';
  rule record;
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
  FOR rule IN
    SELECT * FROM (VALUES
      ('organizations', 'id = ' || own),
      ('clients', 'organization = ' || own),
      ('contacts', 'organization = ' || own),
      ('audit_events', 'organization = ' || own),
      -- The queries in a policy are subject to the policies of the tables that they read.
      ('client_ids', 'client IN (SELECT id FROM clients)'),
      ('access_keys', 'contact IN (SELECT id FROM contacts)'),
      ('secrets', 'client IN (SELECT id FROM clients) OR access_key IN (SELECT id FROM access_keys)'),
      ('regenerations', 'client IN (SELECT id FROM clients) OR access_key IN (SELECT id FROM access_keys)'),
      ('webhooks', 'organization = ' || own), ('webhook_secrets', 'webhook IN (SELECT id FROM webhooks)'),
      ('handovers', 'client IN (SELECT id FROM clients) OR access_key IN (SELECT id FROM access_keys)'),
      ('operator_tokens', 'contact IN (SELECT id FROM contacts)'),
      ('authorization_tokens', 'client IN (SELECT id FROM clients)'),
      ('client_keys', 'client IN (SELECT id FROM clients)'),
      ('client_scopes', 'client IN (SELECT id FROM clients)'),
      ('access_key_scopes', 'access_key IN (SELECT id FROM access_keys)'),
      -- Also the keys and certificates of clients, which have their own usage.
      ('usage_hours', owned), ('usage_sources', owned), ('usage_source_hours', owned), ('usage_live_tokens', owned),
      ('rejected_requests', 'client IN (SELECT id FROM clients)'),
      ('idempotency_keys', 'operator IN (SELECT id::text FROM contacts)'),
      ('console_sessions', 'contact IN (SELECT id FROM contacts)'),
      ('notices', 'organization = ' || own), ('notice_receivers', 'organization = ' || own), ('notice_deliveries', 'organization = ' || own),
      ('identity_providers', 'organization = ' || own),
      ('contact_identities', 'contact IN (SELECT id FROM contacts)'),
      ('bounded_tokens', 'contact IN (SELECT id FROM contacts)')
    ) AS rules (table_name, condition)
  LOOP
    -- The server leaves the role before it appends events to the audit log.
    EXECUTE format('GRANT %s ON %I TO keyturn_organization',
      CASE rule.table_name
        WHEN 'audit_events' THEN 'SELECT'
        -- Not the hash of the cookie, and not the verifier of the operator token.
        WHEN 'console_sessions' THEN
          'SELECT (name, contact, method, address, user_agent, created_at, last_seen_at, expires_at, provider), DELETE'
        ELSE 'SELECT, INSERT, UPDATE, DELETE' END, rule.table_name);
    CONTINUE WHEN EXISTS (SELECT FROM pg_policies WHERE schemaname = current_schema AND tablename = rule.table_name
      AND policyname = 'own_organization');
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', rule.table_name);
    EXECUTE format('DROP POLICY IF EXISTS everything ON %I', rule.table_name);
    EXECUTE format('CREATE POLICY everything ON %I USING (true) WITH CHECK (true)', rule.table_name);
    EXECUTE format('CREATE POLICY own_organization ON %I AS RESTRICTIVE TO keyturn_organization USING (%s) WITH CHECK (%s)',
      rule.table_name, rule.condition, rule.condition);
  END LOOP;
END $$;
SELECT limit_to_organizations();
