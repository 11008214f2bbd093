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

-- As before, with the tables above.
CREATE OR REPLACE FUNCTION limit_to_organizations() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  own CONSTANT text := $own$nullif(current_setting('keyturn.organization', true), '')::uuid$own$;
  owned CONSTANT text := 'owner IN (SELECT id FROM clients UNION ALL SELECT id FROM access_keys UNION ALL SELECT id FROM client_keys)';
  rule record;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'keyturn_organization') THEN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolcreaterole)) THEN RETURN; END IF;
    BEGIN
      CREATE ROLE keyturn_organization NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; -- Another database of this server was migrated at the same time.
    END;
  END IF;
  IF NOT pg_has_role(current_user, 'keyturn_organization', 'MEMBER') THEN
    BEGIN
      EXECUTE format('GRANT keyturn_organization TO %I', current_user);
    EXCEPTION WHEN insufficient_privilege THEN NULL; -- roles.sql grants it to the role that serves.
    END;
  END IF;
  GRANT USAGE ON SCHEMA public TO keyturn_organization;
  -- Tables without an organization.
  GRANT SELECT, INSERT ON changes, access_tokens TO keyturn_organization;
  GRANT SELECT ON signing_keys TO keyturn_organization;
  FOR rule IN
    SELECT * FROM (VALUES
      ('organizations', 'id = ' || own),
      ('clients', 'organization = ' || own),
      ('contacts', 'organization = ' || own),
      ('audit_events', 'organization = ' || own),
      -- The queries in a policy are subject to the policies of the tables that they read.
      ('client_ids', 'client IN (SELECT id FROM clients)'),
      ('access_keys', 'contact IN (SELECT id FROM contacts)'),
      ('secrets', 'client IN (SELECT id FROM clients) OR access_key IN (SELECT id FROM access_keys)'),
      ('regenerations', 'client IN (SELECT id FROM clients) OR access_key IN (SELECT id FROM access_keys)'),
      ('operator_tokens', 'contact IN (SELECT id FROM contacts)'),
      ('authorization_tokens', 'client IN (SELECT id FROM clients)'),
      ('client_keys', 'client IN (SELECT id FROM clients)'),
      ('client_scopes', 'client IN (SELECT id FROM clients)'),
      ('access_key_scopes', 'access_key IN (SELECT id FROM access_keys)'),
      -- Also the keys and certificates of clients, which have their own usage.
      ('usage_hours', owned), ('usage_sources', owned), ('usage_source_hours', owned), ('usage_live_tokens', owned),
      ('rejected_requests', 'client IN (SELECT id FROM clients)'),
      ('idempotency_keys', 'operator IN (SELECT id::text FROM contacts)'),
      ('console_sessions', 'contact IN (SELECT id FROM contacts)'),
      ('notices', 'organization = ' || own), ('notice_receivers', 'organization = ' || own), ('notice_deliveries', 'organization = ' || own)
    ) AS rules (table_name, condition)
  LOOP
    -- The server leaves the role before it appends events to the audit log.
    EXECUTE format('GRANT %s ON %I TO keyturn_organization',
      CASE rule.table_name
        WHEN 'audit_events' THEN 'SELECT'
        -- Not the hash of the cookie, and not the verifier of the operator token.
        WHEN 'console_sessions' THEN
          'SELECT (name, contact, method, address, user_agent, created_at, last_seen_at, expires_at), DELETE'
        ELSE 'SELECT, INSERT, UPDATE, DELETE' END, rule.table_name);
    CONTINUE WHEN EXISTS (SELECT FROM pg_policies WHERE schemaname = current_schema AND tablename = rule.table_name
      AND policyname = 'own_organization');
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', rule.table_name);
    EXECUTE format('DROP POLICY IF EXISTS everything ON %I', rule.table_name);
    EXECUTE format('CREATE POLICY everything ON %I USING (true) WITH CHECK (true)', rule.table_name);
    EXECUTE format('CREATE POLICY own_organization ON %I AS RESTRICTIVE TO keyturn_organization USING (%s) WITH CHECK (%s)',
      rule.table_name, rule.condition, rule.condition);
  END LOOP;
END $$;
SELECT limit_to_organizations();
