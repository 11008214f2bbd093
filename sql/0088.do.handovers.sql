-- A link that generates a new secret of a client or an access key when its receiver opens it, and shows it once.
-- Until then there is no new secret, and nothing of it is stored.
CREATE TABLE handovers (
  id                 uuid PRIMARY KEY,
  client             uuid REFERENCES clients ON DELETE CASCADE,
  access_key         uuid REFERENCES access_keys ON DELETE CASCADE,
  secret             uuid NOT NULL REFERENCES secrets ON DELETE CASCADE, -- the current secret, which the new one replaces
  link               bytea NOT NULL,                   -- SHA-256 of the random value in the link
  contact            uuid REFERENCES contacts ON DELETE CASCADE, -- who may open it when signed in to the portal; null: nobody
  email              text NOT NULL,                    -- the address that it is for
  code               bytea,                            -- HMAC-SHA-256 of the code, with the value in the link as the key; null: none yet
  code_expires_at    timestamptz,                      -- null: as late as the link
  codes_sent         integer NOT NULL DEFAULT 0,       -- by e-mail
  wrong_codes        integer NOT NULL DEFAULT 0,
  overlap_seconds    integer NOT NULL,                 -- the grace period
  starts             text NOT NULL CHECK (starts IN ('opened', 'created')), -- when the grace period begins
  finish_when_unused boolean NOT NULL,
  created_at         timestamptz NOT NULL,
  created_by         text NOT NULL,                    -- the operator, as in audit_events.actor_name
  expires_at         timestamptz NOT NULL,
  ended_at           timestamptz,                      -- opened or ended before it expired; null: not
  ended_as           text CHECK (ended_as IN ('opened', 'withdrawn', 'replaced', 'too_many_codes')),
  ended_by           text,
  regeneration       uuid REFERENCES regenerations ON DELETE CASCADE, -- the rotation that it began when it was opened
  address            text,                             -- from where it was opened
  user_agent         text,
  CHECK (num_nonnulls(client, access_key) = 1),
  CHECK (num_nonnulls(ended_at, ended_as, ended_by) IN (0, 3)),
  CHECK ((ended_as = 'opened') = (regeneration IS NOT NULL))
);
CREATE UNIQUE INDEX handovers_link ON handovers (link);
-- An owner has at most one that can be opened.
CREATE UNIQUE INDEX handovers_open ON handovers (coalesce(client, access_key)) WHERE ended_as IS NULL;
CREATE INDEX handovers_client ON handovers (client);
CREATE INDEX handovers_access_key ON handovers (access_key);
CREATE INDEX handovers_secret ON handovers (secret);
CREATE INDEX handovers_contact ON handovers (contact);
CREATE INDEX handovers_regeneration ON handovers (regeneration);

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
      ('notices', 'organization = ' || own), ('notice_receivers', 'organization = ' || own), ('notice_deliveries', 'organization = ' || own)
    ) AS rules (table_name, condition)
  LOOP
    -- The server leaves the role before it appends events to the audit log.
    EXECUTE format('GRANT %s ON %I TO keyturn_organization',
      CASE rule.table_name
        WHEN 'audit_events' THEN 'SELECT'
        -- Not the hash of the cookie, and not the verifier of the operator token.
        WHEN 'console_sessions' THEN
          'SELECT (name, contact, method, address, user_agent, created_at, last_seen_at, expires_at), DELETE'
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
