-- The refresh tokens that identity providers have given for people, with which Keyturn asks whether a provider still vouches for a person.
-- One row a contact: the last sign-in decides.
CREATE TABLE provider_refresh_tokens (
  contact     uuid PRIMARY KEY REFERENCES contacts ON DELETE CASCADE,
  id          uuid NOT NULL UNIQUE,                    -- of the sign-in; it stays when the provider replaces the token
  provider    text NOT NULL,                           -- identity_providers.id, or deployment for the one in the environment
  issuer      text NOT NULL,                           -- the provider is not asked if it has another issuer or client ID by now
  client_id   text NOT NULL,
  subject     text NOT NULL,                           -- sub, unique within the issuer
  sealed      text NOT NULL,                           -- the refresh token
  shows_claim boolean NOT NULL DEFAULT false,          -- whether an answer has had the claim that decides on permissions
  checked_at  timestamptz NOT NULL                     -- when the provider was last asked, or the person signed in
);
CREATE INDEX provider_refresh_tokens_checked ON provider_refresh_tokens (checked_at);
CREATE INDEX provider_refresh_tokens_provider ON provider_refresh_tokens (provider);

-- For the deletion of a provider. Operators of an organization do not need the tokens.
INSERT INTO organization_limits (table_name, condition, privileges) VALUES
  ('provider_refresh_tokens', 'contact IN (SELECT id FROM contacts)', 'SELECT (contact, provider), DELETE');
SELECT limit_to_organizations();
