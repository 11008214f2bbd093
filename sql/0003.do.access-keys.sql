ALTER TABLE access_keys ADD token_epoch integer NOT NULL DEFAULT 0;  -- a token obtained under an earlier epoch is dead
ALTER TABLE access_keys ADD last_used_at timestamptz;                -- by the hour, so that the list can be filtered by index

CREATE INDEX access_keys_contact ON access_keys (contact, created_at DESC, id DESC);
CREATE INDEX access_keys_name ON access_keys (lower(name) text_pattern_ops);
CREATE INDEX access_keys_last_used ON access_keys (coalesce(last_used_at, created_at));
CREATE INDEX access_keys_disabled ON access_keys (created_at DESC, id DESC) WHERE NOT enabled;
CREATE INDEX access_keys_expires ON access_keys (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX access_keys_scope ON access_keys USING gin (scope);
CREATE INDEX contacts_name ON contacts (lower(name) text_pattern_ops);
CREATE INDEX clients_scope ON clients USING gin (scope);

-- What resource servers reported that an access key was really used for.
CREATE TABLE access_key_scopes (
  access_key    uuid NOT NULL,                         -- no foreign key: a batch may arrive after its key is gone
  scope         text NOT NULL,
  count         bigint NOT NULL,
  first_used_at timestamptz NOT NULL,
  last_used_at  timestamptz NOT NULL,
  expires_at    timestamptz NOT NULL,
  PRIMARY KEY (access_key, scope)
);
CREATE INDEX access_key_scopes_expires ON access_key_scopes (expires_at);
