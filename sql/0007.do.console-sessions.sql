-- Sign-ins to the console. One ends with the operator token that the contact had then, and with any change of its permissions.
CREATE TABLE console_sessions (
  id             bytea PRIMARY KEY,                    -- SHA-256 of the random id that only the browser's cookie holds
  contact        uuid NOT NULL REFERENCES contacts ON DELETE CASCADE,
  operator_token bytea,                                -- operator_tokens.verifier at sign-in; null: there was none
  permissions    text[] NOT NULL,                      -- contacts.permissions at sign-in
  created_at     timestamptz NOT NULL,
  proved_at      timestamptz NOT NULL,                 -- when the operator last proved who it is
  expires_at     timestamptz NOT NULL
);
CREATE INDEX console_sessions_contact ON console_sessions (contact);
CREATE INDEX console_sessions_expires ON console_sessions (expires_at);

-- Links that sign in once.
CREATE TABLE console_links (
  code           bytea PRIMARY KEY,                    -- SHA-256 of the random code in the link
  contact        uuid NOT NULL REFERENCES contacts ON DELETE CASCADE,
  operator_token bytea,                                -- as above, when it was made
  expires_at     timestamptz NOT NULL
);
CREATE INDEX console_links_contact ON console_links (contact);
CREATE INDEX console_links_expires ON console_links (expires_at);
