-- Keys and certificates that clients authenticate with, one by one: those that were used, and those that are published at a jwks_uri. How
-- often and from where each is used is in the usage tables, with `id` as the owner and generation 1. The 50 latest of each client are
-- kept. There is no foreign key, as in the usage tables.
CREATE TABLE client_keys (
  id            uuid PRIMARY KEY,                      -- from client and thumbprint
  client        uuid NOT NULL,
  thumbprint    text NOT NULL,                         -- of a key as in RFC 7638, of a certificate as x5t#S256 (RFC 8705 §3.1)
  kind          text NOT NULL CHECK (kind IN ('key', 'certificate')),
  kid           text,
  generation    integer,                               -- of the credential that it was last used with
  jwks_uri      text,                                  -- where it is or was published
  jwk           jsonb,                                 -- of a published key, so that its signatures are recognised after it left
  published_at  timestamptz,                           -- when it was first seen there
  left_at       timestamptz,                           -- when it was first missing there
  first_used_at timestamptz,
  last_used_at  timestamptz,
  refused_at    timestamptz,                           -- last
  expires_at    timestamptz NOT NULL
);
CREATE INDEX client_keys_client ON client_keys (client);
CREATE INDEX client_keys_expires ON client_keys (expires_at);
