-- OpenID Providers at which people sign in.
CREATE TABLE identity_providers (
  id               uuid PRIMARY KEY,
  organization     uuid NOT NULL REFERENCES organizations ON DELETE CASCADE, -- whose people sign in there
  name             text NOT NULL,
  issuer           text NOT NULL,
  client_id        text NOT NULL,
  sealed           text,                               -- the client secret; null for a public client
  scope            text NOT NULL,
  claim            text NOT NULL,                      -- the claim that decides on permissions
  grants           jsonb NOT NULL DEFAULT '[]',        -- [{"value", "permissions": [], "organizationId"}]
  creates_contacts boolean NOT NULL,                   -- whether a person without a contact gets one
  links_by_email   boolean NOT NULL,                   -- whether a first sign-in is matched by a verified e-mail address
  acr_values       text[] NOT NULL,                    -- one of which a renewed proof must have; empty: any
  email_domains    text[] NOT NULL,                    -- whose people are sent to this provider
  enabled          boolean NOT NULL DEFAULT true,
  revision         integer NOT NULL DEFAULT 1,         -- If-Match
  created_at       timestamptz NOT NULL,
  updated_at       timestamptz NOT NULL
);
CREATE INDEX identity_providers_organization ON identity_providers (organization);
CREATE INDEX identity_providers_domains ON identity_providers USING gin (email_domains);

-- The people of contacts, as providers name them.
CREATE TABLE contact_identities (
  provider         text NOT NULL,                      -- identity_providers.id, or deployment for the one in the environment
  issuer           text NOT NULL,
  subject          text NOT NULL,                      -- sub, unique within the issuer
  contact          uuid NOT NULL REFERENCES contacts ON DELETE CASCADE,
  created_at       timestamptz NOT NULL,
  PRIMARY KEY (provider, issuer, subject)
);
CREATE INDEX contact_identities_contact ON contact_identities (contact);

-- Sign-ins that have begun: the browser is at the provider.
CREATE TABLE sign_in_attempts (
  id               bytea PRIMARY KEY,                  -- SHA-256 of the random value that only the browser's cookie holds
  provider         text NOT NULL,
  session          uuid,                               -- console_sessions.name whose proof is renewed; null: a sign-in
  sealed           text NOT NULL,                      -- where to continue, with the fields of a form
  expires_at       timestamptz NOT NULL
);
CREATE INDEX sign_in_attempts_expires ON sign_in_attempts (expires_at);

-- For a session that a provider has started: whom it named, and its session there. Null: any other.
ALTER TABLE console_sessions ADD provider text, ADD issuer text, ADD subject text, ADD sid text;
CREATE INDEX console_sessions_subject ON console_sessions (provider, subject) WHERE provider IS NOT NULL;

INSERT INTO organization_limits (table_name, condition) VALUES
  ('identity_providers', 'organization = {organization}'),
  ('contact_identities', 'contact IN (SELECT id FROM contacts)');
UPDATE organization_limits SET privileges = replace(privileges, 'expires_at)', 'expires_at, provider)') WHERE table_name = 'console_sessions';
SELECT limit_to_organizations();
