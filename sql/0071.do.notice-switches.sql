-- Which kinds of notices are told. A receiver's setting wins over that of the organization, and that over the one of the deployment.
CREATE TABLE notice_switches (
  organization uuid NOT NULL REFERENCES organizations ON DELETE CASCADE, -- that of the deployment: for all organizations
  receiver     text NOT NULL,                          -- of mails; empty: everybody in the organization
  kind         text NOT NULL,
  enabled      boolean NOT NULL,
  PRIMARY KEY (organization, receiver, kind)
);

ALTER TABLE contacts ADD language text;                -- of mails; null: English

-- Limits the role keyturn_organization to the notices of its organization. `keyturn migrate` and roles.sql call this each time, after
-- limit_to_organizations().
CREATE FUNCTION limit_notices() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  own CONSTANT text := $own$organization = nullif(current_setting('keyturn.organization', true), '')::uuid$own$;
  name text;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'keyturn_organization') THEN RETURN; END IF;
  FOREACH name IN ARRAY ARRAY['notices', 'notice_receivers', 'notice_deliveries', 'notice_switches'] LOOP
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO keyturn_organization', name);
    CONTINUE WHEN EXISTS (SELECT FROM pg_policies WHERE schemaname = current_schema AND tablename = name
      AND policyname = 'own_organization');
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('DROP POLICY IF EXISTS everything ON %I', name);
    EXECUTE format('CREATE POLICY everything ON %I USING (true) WITH CHECK (true)', name);
    EXECUTE format('CREATE POLICY own_organization ON %I AS RESTRICTIVE TO keyturn_organization USING (%s) WITH CHECK (%s)',
      name, own, own);
  END LOOP;
END $$;
SELECT limit_notices();
