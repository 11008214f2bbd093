-- Passkeys (WebAuthn) of contacts.
CREATE TABLE passkeys (
  id           text PRIMARY KEY,                       -- credential ID, base64url
  name_id      uuid NOT NULL UNIQUE,                   -- names it in the admin API
  contact      uuid NOT NULL REFERENCES contacts ON DELETE CASCADE,
  name         text NOT NULL,
  rp_id        text NOT NULL,                          -- host of the site that it was registered on
  public_key   bytea NOT NULL,                         -- COSE
  counter      bigint NOT NULL,                        -- signature counter of its last use
  transports   text[] NOT NULL,
  created_at   timestamptz NOT NULL,
  last_used_at timestamptz
);
CREATE INDEX passkeys_contact ON passkeys (contact);

-- Challenges that a browser has yet to answer. Each is used once.
CREATE TABLE passkey_challenges (
  challenge  text PRIMARY KEY,
  contact    uuid REFERENCES contacts ON DELETE CASCADE, -- who registers or proves; null: a sign-in
  expires_at timestamptz NOT NULL
);
CREATE INDEX passkey_challenges_expires ON passkey_challenges (expires_at);

INSERT INTO organization_limits (table_name, condition, privileges) VALUES
  ('passkeys', 'contact IN (SELECT id FROM contacts)', 'SELECT, INSERT, DELETE'),
  ('passkey_challenges', 'contact IN (SELECT id FROM contacts)', 'SELECT, INSERT, DELETE');
SELECT limit_to_organizations();
