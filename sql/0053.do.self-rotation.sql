-- Whether the client may rotate its own credential at POST /oauth2/credentials/rotate.
ALTER TABLE clients ADD self_rotation boolean NOT NULL DEFAULT false;

-- A rotation by the client itself, so that its request can be repeated; null for all others.
ALTER TABLE regenerations
  ADD request_key  bytea,                              -- SHA-256 of its Idempotency-Key
  ADD request_hash bytea;                              -- SHA-256 of its parameters
