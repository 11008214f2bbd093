-- The hash of an imported secret that another server stored, such as bcrypt, in the form that slow-hash.ts writes. Null for every other
-- secret. The plaintext is not known, so such a secret has a random verifier, which nothing matches, an empty key_version and an empty
-- hint until its client first uses it. Then they are set as for every other secret, and the hash becomes null.
ALTER TABLE secrets ADD hash text;
-- Finds the secrets that await their first use. No existing row has a hash.
CREATE INDEX secrets_hash ON secrets (client) WHERE hash IS NOT NULL;
