-- Sessions and links of the portal, in which people of one organization serve themselves.
ALTER TABLE console_sessions
  ADD COLUMN site       text NOT NULL DEFAULT 'console', -- console or portal
  ADD COLUMN granted    text[],                          -- permissions of this session; null: those of the contact
  ADD COLUMN return_url text;                            -- where the link back to the host product leads
ALTER TABLE console_links
  ADD COLUMN site       text NOT NULL DEFAULT 'console',
  ADD COLUMN granted    text[],
  ADD COLUMN return_url text;

-- How the portal looks, and where it leads back: name, logo, accentColor, supportUrl, returnUrl, returnOrigins, frameOrigins. What is
-- missing or null is that of the organization of the deployment.
ALTER TABLE organizations ADD COLUMN portal jsonb NOT NULL DEFAULT '{}';

-- Limits the role keyturn_organization further to one contact, named in the setting keyturn.contact, and to what belongs to it: a person
-- without permissions sees their own access keys. Policies of the tables of access keys read the table of contacts, so they follow.
--
-- Also lets the role create links to the portal. `keyturn migrate` and roles.sql call this each time, after limit_to_organizations().
CREATE FUNCTION limit_to_contacts() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  own CONSTANT text := $own$nullif(current_setting('keyturn.contact', true), '')$own$;
  rule record;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'keyturn_organization') THEN RETURN; END IF;
  GRANT INSERT ON console_links TO keyturn_organization;
  FOR rule IN
    SELECT * FROM (VALUES
      ('contacts', 'own_contact', format('%s IS NULL OR id = %s::uuid', own, own)),
      ('clients', 'own_contact', format('%s IS NULL', own)),
      ('audit_events', 'own_contact', format('%s IS NULL', own)),
      ('console_links', 'own_links', 'contact IN (SELECT id FROM contacts)')
    ) AS rules (table_name, policy, condition)
  LOOP
    CONTINUE WHEN EXISTS (SELECT FROM pg_policies WHERE schemaname = current_schema AND tablename = rule.table_name
      AND policyname = rule.policy);
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', rule.table_name);
    EXECUTE format('DROP POLICY IF EXISTS everything ON %I', rule.table_name);
    EXECUTE format('CREATE POLICY everything ON %I USING (true) WITH CHECK (true)', rule.table_name);
    EXECUTE format('CREATE POLICY %I ON %I AS RESTRICTIVE TO keyturn_organization USING (%s) WITH CHECK (%s)',
      rule.policy, rule.table_name, rule.condition, rule.condition);
  END LOOP;
END $$;
SELECT limit_to_contacts();
