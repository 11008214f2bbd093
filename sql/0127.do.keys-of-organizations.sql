DROP INDEX access_keys_without_organization;
ALTER TABLE access_keys ALTER organization SET NOT NULL;

-- Compared with the key itself, PostgreSQL can use an index of its organization. Its contact is not looked up any more.
UPDATE organization_limits SET condition = 'organization = {organization}' WHERE table_name = 'access_keys' AND policy = 'own_organization';
INSERT INTO organization_limits (table_name, policy, condition, privileges)
  VALUES ('access_keys', 'own_contact', 'CASE WHEN {contact} IS NULL THEN 1 ELSE 0 END <> 0 OR contact = {contact}::uuid', NULL);
-- PostgreSQL would read all clients, contacts or access keys of the organization into memory if it expects many rows, even where a list ends
-- after a few of them. OFFSET 0 makes it look up the owner of each row that is read.
UPDATE organization_limits
  SET condition = regexp_replace(condition, '(EXISTS \(SELECT FROM (\w+) WHERE \2\.id = \w+\.\w+)\)', '\1 OFFSET 0)', 'g');
DO $$ DECLARE changed record; BEGIN
  FOR changed IN SELECT * FROM organization_limits WHERE condition LIKE '%OFFSET 0%' OR table_name = 'access_keys' ORDER BY table_name LOOP
    EXECUTE format('DROP POLICY IF EXISTS %I ON %I', changed.policy, changed.table_name);
  END LOOP;
END $$;
SELECT limit_to_organizations();
