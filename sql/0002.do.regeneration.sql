-- One turn of a key: an old secret and the new one that takes its place. It overlaps until the old secret has ended.
CREATE TABLE regenerations (
  id                 uuid PRIMARY KEY,
  client             uuid REFERENCES clients ON DELETE CASCADE,
  access_key         uuid REFERENCES access_keys ON DELETE CASCADE,
  old_secret         uuid NOT NULL REFERENCES secrets ON DELETE CASCADE,
  new_secret         uuid NOT NULL REFERENCES secrets ON DELETE CASCADE,
  finish_when_unused boolean NOT NULL,                 -- end it early, once every source of the old secret uses the new one
  revoke_tokens      boolean NOT NULL,
  created_at         timestamptz NOT NULL,
  created_by         text NOT NULL,                    -- the operator, as in audit_events.actor_name
  ended_at           timestamptz,                      -- ended before the old secret's date; null: not, or by that date
  ended_as           text CHECK (ended_as IN ('finished', 'undone')),
  ended_by           text,
  CHECK (num_nonnulls(client, access_key) = 1),
  CHECK (num_nonnulls(ended_at, ended_as, ended_by) IN (0, 3))
);
CREATE INDEX regenerations_client ON regenerations (client);
CREATE INDEX regenerations_access_key ON regenerations (access_key);
CREATE INDEX regenerations_old_secret ON regenerations (old_secret);
CREATE UNIQUE INDEX regenerations_new_secret ON regenerations (new_secret);
CREATE INDEX regenerations_unused ON regenerations (created_at) WHERE finish_when_unused AND ended_as IS NULL;

-- Use of secrets. The owner is a row of clients or access_keys; there is no foreign key, or a batch of counts that was gathered while
-- its owner was deleted could not be written. Such rows end with all others of their age.
-- Generation 0: what was refused without any secret of the owner.

-- What was asked with a secret, by the hour; hours older than a month are summed up into days (UTC).
CREATE TABLE usage_hours (
  owner      uuid NOT NULL,
  generation integer NOT NULL,
  starts_at  timestamptz NOT NULL,
  hours      smallint NOT NULL CHECK (hours IN (1, 24)),
  outcome    text NOT NULL,                            -- 'issued', 'used' (other than for a token), or why it was refused
  count      bigint NOT NULL,
  PRIMARY KEY (owner, generation, starts_at, hours, outcome)
);
CREATE INDEX usage_hours_starts ON usage_hours (hours, starts_at);

-- From where a secret is used. A bounded number for each secret; the rest is one row with the address '*'.
CREATE TABLE usage_sources (
  owner         uuid NOT NULL,
  generation    integer NOT NULL,
  address       text NOT NULL,
  user_agent    text NOT NULL,
  first_used_at timestamptz,
  last_used_at  timestamptz,                           -- null: was always refused
  refused       bigint NOT NULL,
  refused_at    timestamptz,                           -- last
  refused_as    text,                                  -- last
  expires_at    timestamptz NOT NULL,
  PRIMARY KEY (owner, generation, address, user_agent)
);
CREATE INDEX usage_sources_expires ON usage_sources (expires_at);

-- Tokens issued by the hour and source, for as long as "in the last 24 hours" can ask for them.
CREATE TABLE usage_source_hours (
  owner      uuid NOT NULL,
  generation integer NOT NULL,
  address    text NOT NULL,
  user_agent text NOT NULL,
  starts_at  timestamptz NOT NULL,
  issued     bigint NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (owner, generation, address, user_agent, starts_at)
);
CREATE INDEX usage_source_hours_expires ON usage_source_hours (expires_at);

-- How many tokens end in which minute: so that the live ones can be counted whatever store they are in.
CREATE TABLE usage_live_tokens (
  owner      uuid NOT NULL,
  generation integer NOT NULL,
  epoch      integer NOT NULL,                         -- the owner's token_epoch when they were issued
  expires_at timestamptz NOT NULL,                     -- rounded up to the minute
  count      bigint NOT NULL,
  PRIMARY KEY (owner, expires_at, generation, epoch)
);
CREATE INDEX usage_live_tokens_expires ON usage_live_tokens (expires_at);

-- Batches of counts that are written: one whose answer was lost is sent again and must not count twice.
CREATE TABLE usage_batches (
  id         uuid PRIMARY KEY,
  expires_at timestamptz NOT NULL
);
CREATE INDEX usage_batches_expires ON usage_batches (expires_at);
