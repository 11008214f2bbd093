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

-- Limits operators of an organization to the trusts of its clients. `keyturn migrate` and roles.sql call it each time, after
-- limit_to_organizations().
CREATE FUNCTION limit_trusts() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'keyturn_token') AND has_table_privilege('keyturn_token', 'clients', 'SELECT') THEN
    GRANT SELECT ON trusts TO keyturn_token;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'keyturn_organization') THEN RETURN; END IF;
  GRANT SELECT, INSERT, UPDATE, DELETE ON trusts TO keyturn_organization;
  IF EXISTS (SELECT FROM pg_policies WHERE schemaname = current_schema AND tablename = 'trusts' AND policyname = 'own_organization') THEN
    RETURN;
  END IF;
  ALTER TABLE trusts ENABLE ROW LEVEL SECURITY;
  CREATE POLICY everything ON trusts USING (true) WITH CHECK (true);
  CREATE POLICY own_organization ON trusts AS RESTRICTIVE TO keyturn_organization
    USING (client IN (SELECT id FROM clients)) WITH CHECK (client IN (SELECT id FROM clients));
END $$;
SELECT limit_trusts();
