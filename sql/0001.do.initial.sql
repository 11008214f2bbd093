-- A registered client: an integration that asks for tokens, or a resource server that validates them.
CREATE TABLE clients (
  id                uuid PRIMARY KEY,                  -- stays when the Client ID is regenerated
  client_id         text NOT NULL UNIQUE,              -- the current public Client ID
  kind              text NOT NULL CHECK (kind IN ('integration', 'resource_server')),
  name              text NOT NULL,
  enabled           boolean NOT NULL DEFAULT true,
  scope             text[] NOT NULL DEFAULT '{}',      -- integration: the most it may be granted
  access_key        text NOT NULL DEFAULT 'optional' CHECK (access_key IN ('optional', 'required')),
  reveal            boolean NOT NULL DEFAULT true,     -- whether sealed copies of its secrets are kept
  auth_method       text NOT NULL,                     -- token_endpoint_auth_method (RFC 7591)
  jwks              jsonb,
  resource          text,                              -- resource server: its identifier (RFC 8707); integration: its default
  information       text[],                            -- resource server: kinds of information, each with four actions
  token_format      text CHECK (token_format IN ('opaque', 'jwt')),
  token_epoch       integer NOT NULL DEFAULT 0,        -- a token issued under an earlier epoch is dead
  tokens_not_before timestamptz,                       -- when the epoch last rose
  revision          integer NOT NULL DEFAULT 1,        -- If-Match
  created_at        timestamptz NOT NULL,
  updated_at        timestamptz NOT NULL
);
CREATE UNIQUE INDEX clients_resource ON clients (resource) WHERE kind = 'resource_server';
CREATE INDEX clients_created ON clients (created_at DESC, id DESC);

-- Every Client ID that a client answers to; more than one after its id was regenerated.
CREATE TABLE client_ids (
  client_id text PRIMARY KEY,
  client    uuid NOT NULL REFERENCES clients ON DELETE CASCADE
);
CREATE INDEX client_ids_client ON client_ids (client);

-- A person or partner; an operator if there are permissions and an operator token.
CREATE TABLE contacts (
  id          uuid PRIMARY KEY,
  name        text NOT NULL,
  email       text NOT NULL,
  external_id text UNIQUE,
  permissions text[] NOT NULL DEFAULT '{}',
  revision    integer NOT NULL DEFAULT 1,
  created_at  timestamptz NOT NULL,
  updated_at  timestamptz NOT NULL
);
CREATE INDEX contacts_created ON contacts (created_at DESC, id DESC);

-- A credential of one contact: says who calls, and what they may touch.
CREATE TABLE access_keys (
  id          uuid PRIMARY KEY,
  contact     uuid NOT NULL REFERENCES contacts,
  name        text NOT NULL,
  scope       text[] NOT NULL,                         -- its permissions, as kind:action
  clients     uuid[],                                  -- null: with any client
  enabled     boolean NOT NULL DEFAULT true,
  reveal      boolean NOT NULL DEFAULT true,
  expires_at  timestamptz,
  used_at     timestamptz,                             -- when it was used first; null: never, and only then it can be removed
  revision    integer NOT NULL DEFAULT 1,
  created_at  timestamptz NOT NULL,
  updated_at  timestamptz NOT NULL,
  UNIQUE (contact, name)
);
CREATE INDEX access_keys_created ON access_keys (created_at DESC, id DESC);

-- Client secrets and access key values, each as its HMAC. At most two of one owner are live: the current and a retiring one.
CREATE TABLE secrets (
  id          uuid PRIMARY KEY,
  client      uuid REFERENCES clients ON DELETE CASCADE,
  access_key  uuid REFERENCES access_keys ON DELETE CASCADE,
  client_id   text,                                    -- of a client secret: the Client ID that it goes with
  generation  integer NOT NULL,                        -- 1, 2, …: what a token says of the secret it was obtained with
  verifier    bytea NOT NULL,                          -- HMAC-SHA-256 under the pepper of key_version
  key_version text NOT NULL,
  sealed      text,                                    -- sealed copy, only to be shown again
  hint        text NOT NULL,                           -- the last four characters
  created_at  timestamptz NOT NULL,
  retires_at  timestamptz,                             -- null: current; in the future: retiring; past: ended
  ended_as    text CHECK (ended_as IN ('finished', 'undone')), -- ended before its date; undone: its tokens are dead too
  CHECK (num_nonnulls(client, access_key) = 1)
);
CREATE UNIQUE INDEX secrets_client ON secrets (client, generation);
CREATE UNIQUE INDEX secrets_access_key ON secrets (access_key, generation);
CREATE UNIQUE INDEX secrets_verifier ON secrets (verifier);

CREATE TABLE operator_tokens (
  contact     uuid PRIMARY KEY REFERENCES contacts ON DELETE CASCADE,
  verifier    bytea NOT NULL UNIQUE,
  key_version text NOT NULL,
  hint        text NOT NULL,
  created_at  timestamptz NOT NULL
);

-- The API authorization token that an operator issued last for a client: what is known of it, never the token.
CREATE TABLE authorization_tokens (
  client     uuid PRIMARY KEY REFERENCES clients ON DELETE CASCADE,
  jti        text NOT NULL,
  epoch      integer NOT NULL,                         -- the client's when it was issued: dead under a later one
  scope      text NOT NULL,
  issued_by  text NOT NULL,                            -- the operator's name then
  issued_at  timestamptz NOT NULL,
  expires_at timestamptz NOT NULL
);

-- Access tokens, where no Redis is configured. The key is the token's SHA-256.
CREATE TABLE access_tokens (
  jti        text PRIMARY KEY,
  record     text NOT NULL,
  expires_at timestamptz NOT NULL
);
CREATE INDEX access_tokens_expires ON access_tokens (expires_at);

-- What changed, written in the change's own transaction; every process follows it (LISTEN, and a poll behind that).
-- A row of kind 'token' is also the revocation itself: it is kept until that token would have ended.
CREATE TABLE changes (
  seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  xact       xid8 NOT NULL DEFAULT pg_current_xact_id(),
  kind       text NOT NULL,                            -- 'client', 'access_key', 'contact', 'token', …
  target     text NOT NULL,                            -- an id; of a token its jti
  at         timestamptz NOT NULL,
  expires_at timestamptz NOT NULL
);
CREATE INDEX changes_xact ON changes (xact);
CREATE INDEX changes_expires ON changes (expires_at);

CREATE FUNCTION announce_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('keyturn_changes', '');
  RETURN NULL;
END $$;
CREATE TRIGGER changes_announce AFTER INSERT ON changes FOR EACH STATEMENT EXECUTE FUNCTION announce_change();

-- Who did what to which target; before and after hold no secret. Each row carries an HMAC over itself and the row before it.
CREATE TABLE audit_events (
  seq         bigint PRIMARY KEY,                      -- 1, 2, 3, … without a gap
  at          timestamptz NOT NULL,
  actor       text NOT NULL,                           -- contact id, 'cli:<system user>', or 'keyturn' itself
  actor_name  text NOT NULL,
  address     text,
  action      text NOT NULL,                           -- 'client.create', 'client.disable', …
  target_type text NOT NULL,
  target      text NOT NULL,
  before      jsonb,
  after       jsonb,
  key_version text NOT NULL,
  mac         bytea NOT NULL
);

-- The end of the log, held outside of it: what is cut off there is missed. Who appends locks this row, so the chain never forks.
CREATE TABLE audit_anchor (
  singleton   boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  seq         bigint NOT NULL,                         -- of the last row; 0: there is none
  mac         bytea NOT NULL,                          -- of the last row
  key_version text NOT NULL,
  seal        bytea NOT NULL                           -- HMAC over this row
);
INSERT INTO audit_anchor (seq, mac, key_version, seal) VALUES (0, '', '', '');

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_anchor_stays BEFORE DELETE OR TRUNCATE ON audit_anchor
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Answers to requests with an Idempotency-Key, sealed, so that a repeated request gets the first one's answer.
CREATE TABLE idempotency_keys (
  operator   text NOT NULL,
  key        text NOT NULL,
  request    bytea NOT NULL,                           -- SHA-256 of method, path and body: the same key with another request is refused
  status     integer NOT NULL,
  sealed     text NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (operator, key)
);
CREATE INDEX idempotency_keys_expires ON idempotency_keys (expires_at);
