ALTER TABLE clients ADD jwks_uri text;                     -- where its public keys are, in place of jwks

-- Ids of client assertions (RFC 7523) and DPoP proofs (RFC 9449) that were used: each is good once, in whatever process it arrives.
-- Here and not in Redis, so that no loss of it makes one good again.
CREATE TABLE used_assertions (
  client     uuid NOT NULL REFERENCES clients ON DELETE CASCADE,
  id         bytea NOT NULL,                               -- SHA-256 of its kind and jti
  expires_at timestamptz NOT NULL,                         -- when it would be refused for its age
  PRIMARY KEY (client, id)
);
CREATE INDEX used_assertions_expires ON used_assertions (expires_at);
