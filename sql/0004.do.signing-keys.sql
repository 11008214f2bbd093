-- Keys that sign JWT access tokens. A new one is published as `next` before it signs; a retired one stays published until the last
-- token that it signed has ended.
CREATE TABLE signing_keys (
  kid        text PRIMARY KEY,                         -- the JWK thumbprint (RFC 7638)
  alg        text NOT NULL,
  state      text NOT NULL CHECK (state IN ('next', 'current', 'retired')),
  public_jwk jsonb NOT NULL,
  sealed     text NOT NULL,                            -- sealed copy of the private JWK
  created_at timestamptz NOT NULL,
  current_at timestamptz,                              -- since when it signs
  retired_at timestamptz,
  expires_at timestamptz NOT NULL DEFAULT 'infinity'   -- when a retired one goes
);
CREATE UNIQUE INDEX signing_keys_state ON signing_keys (state) WHERE state <> 'retired';
