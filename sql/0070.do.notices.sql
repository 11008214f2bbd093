-- What people and programs are told: one row a notice, written in the transaction of the change that it is about. It never contains a secret.
CREATE TABLE notices (
  id           uuid PRIMARY KEY,                       -- the same in every delivery, so that receivers can drop repeats
  seq          bigint GENERATED ALWAYS AS IDENTITY,
  kind         text NOT NULL,
  organization uuid NOT NULL,                          -- of the thing that it is about
  thing        text NOT NULL,                          -- what its order counts for, such as client: and the internal id
  subject_type text NOT NULL,
  subject_id   text NOT NULL,                          -- as the admin API names the thing: the Client ID, or another id
  subject_name text NOT NULL,                          -- at the time of the notice
  data         jsonb NOT NULL,                         -- what it says, as receivers get it
  at           timestamptz NOT NULL,
  addressed    boolean NOT NULL DEFAULT false,         -- whether its deliveries were determined
  expires_at   timestamptz NOT NULL
);
CREATE UNIQUE INDEX notices_seq ON notices (seq);
CREATE INDEX notices_new ON notices (seq) WHERE NOT addressed;
CREATE INDEX notices_organization ON notices (organization, seq);
CREATE INDEX notices_kind ON notices (kind, seq);
CREATE INDEX notices_subject ON notices (subject_id, seq);
CREATE INDEX notices_expires ON notices (expires_at);

-- Moments that were told, so that several processes, or one that is restarted, tell each of them once.
CREATE TABLE notice_moments (
  moment     text PRIMARY KEY,                         -- the thing and the moment
  expires_at timestamptz NOT NULL
);
CREATE INDEX notice_moments_expires ON notice_moments (expires_at);

-- Who receives notices: the contact of the channel 'mail', and what other channels have. One process at a time delivers to a receiver.
CREATE TABLE notice_receivers (
  channel       text NOT NULL,
  receiver      text NOT NULL,
  organization  uuid NOT NULL,                         -- of the receiver
  name          text NOT NULL,
  next_at       timestamptz NOT NULL,                  -- when to deliver next; infinity: nothing is pending
  lease         uuid,                                  -- of the process that delivers
  leased_until  timestamptz NOT NULL DEFAULT '-infinity', -- by the clock of the database
  attempts      integer NOT NULL DEFAULT 0,            -- failed ones since the last success
  failing_since timestamptz,                           -- since when nothing could be delivered
  expires_at    timestamptz NOT NULL,
  PRIMARY KEY (channel, receiver)
);
CREATE INDEX notice_receivers_next ON notice_receivers (next_at) WHERE next_at < 'infinity';
CREATE INDEX notice_receivers_expires ON notice_receivers (expires_at);

CREATE TABLE notice_deliveries (
  notice         uuid NOT NULL REFERENCES notices ON DELETE CASCADE,
  channel        text NOT NULL,
  receiver       text NOT NULL,
  position       bigint GENERATED ALWAYS AS IDENTITY,  -- the order of delivery
  organization   uuid NOT NULL,                        -- of the receiver
  thing          text NOT NULL,                        -- of the notice
  state          text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'skipped', 'parked')),
  due_at         timestamptz NOT NULL,
  batch          uuid,                                 -- the first notice of those that are delivered together
  attempts       integer NOT NULL DEFAULT 0,
  reason         text,                                 -- of the last failure, or why it was skipped
  settled_at     timestamptz,                          -- when it was delivered, skipped or parked
  PRIMARY KEY (notice, channel, receiver),
  CHECK ((state = 'pending') = (settled_at IS NULL))
);
CREATE INDEX notice_deliveries_pending ON notice_deliveries (channel, receiver, position) WHERE state = 'pending';
CREATE INDEX notice_deliveries_delivered ON notice_deliveries (channel, receiver, thing, settled_at) WHERE state = 'delivered';
CREATE INDEX notice_deliveries_parked ON notice_deliveries (settled_at) WHERE state = 'parked';

INSERT INTO organization_limits (table_name, condition)
  SELECT name, 'organization = {organization}' FROM unnest(ARRAY['notices', 'notice_receivers', 'notice_deliveries']) AS name;
SELECT limit_to_organizations();
