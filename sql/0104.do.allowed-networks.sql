-- Networks that a client is accepted from, and for all credentials what happens elsewhere: `enforce` refuses, `watch` only counts.
ALTER TABLE clients
  ADD allowed_networks text[],                         -- CIDRs or addresses; null: any
  ADD network_mode     text NOT NULL DEFAULT 'enforce' CHECK (network_mode IN ('watch', 'enforce'));
ALTER TABLE access_keys ADD network_mode text NOT NULL DEFAULT 'enforce' CHECK (network_mode IN ('watch', 'enforce'));
ALTER TABLE bounded_tokens ADD network_mode text NOT NULL DEFAULT 'enforce' CHECK (network_mode IN ('watch', 'enforce'));

-- How often a client, access key or operator token was used from other networks than those that are watched. There is no foreign key, as
-- in the usage tables.
CREATE TABLE network_watches (
  owner        uuid PRIMARY KEY,                       -- the client, access key or operator token
  networks     text[] NOT NULL,                        -- that were watched; the counts are for these alone
  requests     bigint NOT NULL,
  first_at     timestamptz NOT NULL,
  last_at      timestamptz NOT NULL,
  last_address text NOT NULL,
  expires_at   timestamptz NOT NULL
);
CREATE INDEX network_watches_expires ON network_watches (expires_at);

INSERT INTO organization_limits (table_name, condition) VALUES ('network_watches',
  'owner IN (SELECT id FROM clients) OR owner IN (SELECT id FROM access_keys) OR owner IN (SELECT id FROM bounded_tokens)');

-- The use of operator tokens is counted like that of clients and access keys.
DROP POLICY IF EXISTS own_organization ON usage_sources;
UPDATE organization_limits SET condition = condition || ' OR owner IN (SELECT id FROM bounded_tokens)' WHERE table_name = 'usage_sources';
SELECT limit_to_organizations();
