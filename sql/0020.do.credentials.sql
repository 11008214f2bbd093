-- A row of secrets is a credential of its owner: a secret, or the keys or the certificate that a client registered. How the client is
-- registered while this credential is the current one, in the words of RFC 7591: {auth_method, jwks, jwks_uri, certificate_subject}.
-- Null for a secret that no other kind of credential preceded or followed. Keys and certificates have a random verifier, which nothing
-- matches, and an empty key_version. Generation 0 is what a client was registered with if that was no secret; it gets its row when it is
-- replaced.
ALTER TABLE secrets ADD registration jsonb;

CREATE OR REPLACE FUNCTION restrict_roles() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  -- Roles belong to the whole server, so their existence does not mean that they are used in this database.
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'keyturn_serve') THEN RETURN; END IF;
  IF NOT has_table_privilege('keyturn_serve', 'changes', 'INSERT') THEN RETURN; END IF;
  REVOKE UPDATE, DELETE ON audit_events, audit_checkpoints FROM keyturn_serve;
  REVOKE INSERT, DELETE ON audit_anchor FROM keyturn_serve;
  REVOKE INSERT, UPDATE, DELETE ON migrations FROM keyturn_serve;
  GRANT SELECT ON clients, client_ids, access_keys, changes, migrations TO keyturn_token;
  GRANT SELECT (id, client, access_key, client_id, generation, verifier, key_version, hint, created_at, retires_at, ended_as, registration)
    ON secrets TO keyturn_token;
END $$;
SELECT restrict_roles();
