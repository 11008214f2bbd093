-- Operator tokens with a name and an end, beside the one of each contact in operator_tokens.
CREATE TABLE bounded_tokens (
  id           uuid PRIMARY KEY,
  contact      uuid NOT NULL REFERENCES contacts ON DELETE CASCADE,
  name         text NOT NULL,
  verifier     bytea NOT NULL UNIQUE,
  key_version  text NOT NULL,
  hint         text NOT NULL,
  permissions  text[] NOT NULL,                        -- what it may do at most
  organization uuid REFERENCES organizations ON DELETE CASCADE, -- that it is limited to; null: the reach of its contact
  networks     text[],                                 -- CIDRs that it is accepted from; null: any
  break_glass  boolean NOT NULL,                       -- whether each use is an alarm
  created_at   timestamptz NOT NULL,
  expires_at   timestamptz,                            -- null: never
  last_used_at timestamptz,                            -- to the minute
  -- For a token of `keyturn login`: the person at an identity provider, who can end it there. Null: any other.
  provider     text,
  subject      text,
  sid          text
);
CREATE INDEX bounded_tokens_contact ON bounded_tokens (contact);
CREATE INDEX bounded_tokens_expires ON bounded_tokens (expires_at);

INSERT INTO organization_limits (table_name, condition) VALUES ('bounded_tokens', 'contact IN (SELECT id FROM contacts)');
SELECT limit_to_organizations();
