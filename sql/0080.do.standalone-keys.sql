ALTER TABLE access_keys
  ADD standalone          boolean NOT NULL DEFAULT false,  -- whether the key works alone, without a client
  ADD allowed_networks    text[],                          -- CIDRs from which the key is accepted; null: from anywhere
  ADD requests_per_minute integer CHECK (requests_per_minute > 0); -- limit of a key that is used alone; null: none

-- A proof may also be sent with an access key alone. The unique index over `id` stays.
ALTER TABLE used_assertions DROP CONSTRAINT used_assertions_pkey;
ALTER TABLE used_assertions ALTER client DROP NOT NULL;
ALTER TABLE used_assertions ADD access_key uuid REFERENCES access_keys ON DELETE CASCADE;
CREATE INDEX used_assertions_client ON used_assertions (client);
CREATE INDEX used_assertions_access_key ON used_assertions (access_key) WHERE access_key IS NOT NULL;
