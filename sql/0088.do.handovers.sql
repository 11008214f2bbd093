-- A link that generates a new secret of a client or an access key when its receiver opens it, and shows it once.
-- Until then there is no new secret, and nothing of it is stored.
CREATE TABLE handovers (
  id                 uuid PRIMARY KEY,
  client             uuid REFERENCES clients ON DELETE CASCADE,
  access_key         uuid REFERENCES access_keys ON DELETE CASCADE,
  secret             uuid NOT NULL REFERENCES secrets ON DELETE CASCADE, -- the current secret, which the new one replaces
  link               bytea NOT NULL,                   -- SHA-256 of the random value in the link
  contact            uuid REFERENCES contacts ON DELETE CASCADE, -- who may open it when signed in to the portal; null: nobody
  email              text NOT NULL,                    -- the address that it is for
  code               bytea,                            -- HMAC-SHA-256 of the code, with the value in the link as the key; null: ended
  wrong_codes        integer NOT NULL DEFAULT 0,
  overlap_seconds    integer NOT NULL,                 -- the grace period
  starts             text NOT NULL CHECK (starts IN ('opened', 'created')), -- when the grace period begins
  finish_when_unused boolean NOT NULL,
  created_at         timestamptz NOT NULL,
  created_by         text NOT NULL,                    -- the operator, as in audit_events.actor_name
  expires_at         timestamptz NOT NULL,
  ended_at           timestamptz,                      -- opened or ended before it expired; null: not
  ended_as           text CHECK (ended_as IN ('opened', 'withdrawn', 'replaced', 'too_many_codes')),
  ended_by           text,
  regeneration       uuid REFERENCES regenerations ON DELETE CASCADE, -- the rotation that it began when it was opened
  address            text,                             -- from where it was opened
  user_agent         text,
  CHECK (num_nonnulls(client, access_key) = 1),
  CHECK (num_nonnulls(ended_at, ended_as, ended_by) IN (0, 3)),
  CHECK ((ended_as = 'opened') = (regeneration IS NOT NULL))
);
CREATE UNIQUE INDEX handovers_link ON handovers (link);
-- An owner has at most one that can be opened.
CREATE UNIQUE INDEX handovers_open ON handovers (coalesce(client, access_key)) WHERE ended_as IS NULL;
CREATE INDEX handovers_client ON handovers (client);
CREATE INDEX handovers_access_key ON handovers (access_key);
CREATE INDEX handovers_secret ON handovers (secret);
CREATE INDEX handovers_contact ON handovers (contact);
CREATE INDEX handovers_regeneration ON handovers (regeneration);

INSERT INTO organization_limits (table_name, condition) VALUES
  ('handovers', 'client IN (SELECT id FROM clients) OR access_key IN (SELECT id FROM access_keys)');
SELECT limit_to_organizations();
