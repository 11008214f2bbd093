-- A customer or partner of the deployment, to which contacts and integrations belong, and access keys through their contact.
CREATE TABLE organizations (
  id               uuid PRIMARY KEY,
  name             text NOT NULL,
  external_id      text UNIQUE,                        -- the id in the operator's own system
  enabled          boolean NOT NULL DEFAULT true,
  labels           jsonb NOT NULL DEFAULT '{}',
  -- The ceiling: what its integrations and access keys may have at most. Null: no limit.
  max_scopes       jsonb,                              -- [{"resource", "scope": []}]: the scopes of each API
  max_integrations integer CHECK (max_integrations >= 0),
  max_access_keys  integer CHECK (max_access_keys >= 0), -- enabled ones
  max_key_life     integer CHECK (max_key_life > 0),   -- seconds from the creation of an access key to its expiry
  reveal           boolean NOT NULL DEFAULT true,      -- whether sealed copies of its secrets are kept
  revision         integer NOT NULL DEFAULT 1,         -- If-Match
  created_at       timestamptz NOT NULL,
  updated_at       timestamptz NOT NULL
);
CREATE INDEX organizations_created ON organizations (created_at DESC, id DESC);

-- The organization of the deployment itself. Its id is the same in every database, and it cannot be disabled, limited or deleted.
INSERT INTO organizations (id, name, created_at, updated_at)
  VALUES ('00000000-0000-8000-8000-000000000001', 'This deployment', now(), now());

-- A constant default needs no rewrite of the table, and is what the previous version registers.
ALTER TABLE clients ADD COLUMN organization uuid NOT NULL DEFAULT '00000000-0000-8000-8000-000000000001';
ALTER TABLE contacts ADD COLUMN organization uuid NOT NULL DEFAULT '00000000-0000-8000-8000-000000000001';
-- Existing rows have the default, so they are not read again to check them.
ALTER TABLE clients ADD CONSTRAINT clients_organization_fkey FOREIGN KEY (organization) REFERENCES organizations NOT VALID;
ALTER TABLE contacts ADD CONSTRAINT contacts_organization_fkey FOREIGN KEY (organization) REFERENCES organizations NOT VALID;

CREATE OR REPLACE FUNCTION restrict_roles() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  -- Roles belong to the whole server, so their existence does not mean that they are used in this database.
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'keyturn_serve') THEN RETURN; END IF;
  IF NOT has_table_privilege('keyturn_serve', 'changes', 'INSERT') THEN RETURN; END IF;
  REVOKE UPDATE, DELETE ON audit_events, audit_checkpoints FROM keyturn_serve;
  REVOKE INSERT, DELETE ON audit_anchor FROM keyturn_serve;
  REVOKE INSERT, UPDATE, DELETE ON migrations FROM keyturn_serve;
  GRANT SELECT ON clients, client_ids, access_keys, organizations, changes, migrations TO keyturn_token;
  GRANT SELECT (id, organization) ON contacts TO keyturn_token;
  GRANT SELECT (id, client, access_key, client_id, generation, verifier, key_version, hint, hash, created_at, retires_at, ended_as,
    registration) ON secrets TO keyturn_token;
END $$;
SELECT restrict_roles();
