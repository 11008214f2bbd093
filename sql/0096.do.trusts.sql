-- Issuers whose signed tokens stand for a client: workload identities (docs/workload-identity). A trust is accepted while it is enabled and
-- the client has the credential `workload_identity`, so that the change from a secret to identities is a rotation like any other.
CREATE TABLE trusts (
  id           uuid PRIMARY KEY,
  client       uuid NOT NULL REFERENCES clients ON DELETE CASCADE,
  name         text NOT NULL,
  preset       text NOT NULL,                          -- the platform, whose rules the conditions follow
  issuer       text NOT NULL,                          -- `iss` of its tokens, or `spiffe://` and the trust domain
  audience     text NOT NULL,                          -- the only `aud` of its tokens
  keys         jsonb NOT NULL,                         -- {source, jwks, jwks_uri, ca}: where the public keys are
  conditions   jsonb NOT NULL,                         -- [{claim, equals | one_of | prefix}]
  max_lifetime integer NOT NULL CHECK (max_lifetime BETWEEN 60 AND 86400), -- seconds from `iat` to `exp`
  enabled      boolean NOT NULL DEFAULT true,
  revision     integer NOT NULL DEFAULT 1,             -- If-Match
  created_at   timestamptz NOT NULL,
  updated_at   timestamptz NOT NULL
);
CREATE INDEX trusts_client ON trusts (client);
CREATE INDEX trusts_listed ON trusts (created_at DESC, id DESC);

-- The use of a trust is counted like that of a key.
ALTER TABLE client_keys DROP CONSTRAINT client_keys_kind_check;
ALTER TABLE client_keys ADD CONSTRAINT client_keys_kind_check CHECK (kind IN ('key', 'certificate', 'trust'));

INSERT INTO organization_limits (table_name, condition) VALUES ('trusts', 'client IN (SELECT id FROM clients)');
SELECT limit_to_organizations();

-- As before, with trusts and organization_limits.
CREATE OR REPLACE FUNCTION restrict_roles() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  -- Roles belong to the whole server, so their existence does not mean that they are used in this database.
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'keyturn_serve') THEN RETURN; END IF;
  IF NOT has_table_privilege('keyturn_serve', 'changes', 'INSERT') THEN RETURN; END IF;
  REVOKE UPDATE, DELETE ON audit_events, audit_checkpoints FROM keyturn_serve;
  REVOKE INSERT, DELETE ON audit_anchor FROM keyturn_serve;
  REVOKE INSERT, UPDATE, DELETE ON migrations, organization_limits FROM keyturn_serve;
  GRANT SELECT ON clients, client_ids, access_keys, organizations, trusts, changes, migrations TO keyturn_token;
  GRANT SELECT (id, organization) ON contacts TO keyturn_token;
  GRANT SELECT (id, client, access_key, client_id, generation, verifier, key_version, hint, hash, created_at, retires_at, ended_as,
    registration) ON secrets TO keyturn_token;
END $$;
SELECT restrict_roles();
