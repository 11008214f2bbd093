-- OpenID Providers at which people sign in.
CREATE TABLE identity_providers (
  id               uuid PRIMARY KEY,
  organization     uuid NOT NULL REFERENCES organizations ON DELETE CASCADE, -- whose people sign in there
  name             text NOT NULL,
  issuer           text NOT NULL,
  client_id        text NOT NULL,
  sealed           text,                               -- the client secret; null for a public client
  scope            text NOT NULL,
  claim            text NOT NULL,                      -- the claim that decides on permissions
  grants           jsonb NOT NULL DEFAULT '[]',        -- [{"value", "permissions": [], "organizationId"}]
  creates_contacts boolean NOT NULL,                   -- whether a person without a contact gets one
  links_by_email   boolean NOT NULL,                   -- whether a first sign-in is matched by a verified e-mail address
  acr_values       text[] NOT NULL,                    -- one of which a renewed proof must have; empty: any
  email_domains    text[] NOT NULL,                    -- whose people are sent to this provider
  enabled          boolean NOT NULL DEFAULT true,
  revision         integer NOT NULL DEFAULT 1,         -- If-Match
  created_at       timestamptz NOT NULL,
  updated_at       timestamptz NOT NULL
);
CREATE INDEX identity_providers_organization ON identity_providers (organization);
CREATE INDEX identity_providers_domains ON identity_providers USING gin (email_domains);

-- The people of contacts, as providers name them.
CREATE TABLE contact_identities (
  provider         text NOT NULL,                      -- identity_providers.id, or deployment for the one in the environment
  issuer           text NOT NULL,
  subject          text NOT NULL,                      -- sub, unique within the issuer
  contact          uuid NOT NULL REFERENCES contacts ON DELETE CASCADE,
  created_at       timestamptz NOT NULL,
  PRIMARY KEY (provider, issuer, subject)
);
CREATE INDEX contact_identities_contact ON contact_identities (contact);

-- Sign-ins that have begun: the browser is at the provider.
CREATE TABLE sign_in_attempts (
  id               bytea PRIMARY KEY,                  -- SHA-256 of the random value that only the browser's cookie holds
  provider         text NOT NULL,
  session          uuid,                               -- console_sessions.name whose proof is renewed; null: a sign-in
  sealed           text NOT NULL,                      -- where to continue, with the fields of a form
  expires_at       timestamptz NOT NULL
);
CREATE INDEX sign_in_attempts_expires ON sign_in_attempts (expires_at);

-- For a session that a provider has started: whom it named, and its session there. Null: any other.
ALTER TABLE console_sessions ADD provider text, ADD issuer text, ADD subject text, ADD sid text;
CREATE INDEX console_sessions_subject ON console_sessions (provider, subject) WHERE provider IS NOT NULL;

-- As before, with identity_providers and contact_identities.
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
      ('contact_identities', 'contact IN (SELECT id FROM contacts)')
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
