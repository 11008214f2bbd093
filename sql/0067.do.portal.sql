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

-- Limits the role keyturn_organization further to one contact, and to what belongs to it: a person without permissions sees their own access
-- keys. Policies of the tables of access keys read the table of contacts, so they follow.
INSERT INTO organization_limits (table_name, policy, condition, privileges) VALUES
  ('contacts', 'own_contact', '{contact} IS NULL OR id = {contact}::uuid', NULL),
  ('clients', 'own_contact', '{contact} IS NULL', NULL),
  ('audit_events', 'own_contact', '{contact} IS NULL', NULL),
  ('console_links', 'own_links', 'contact IN (SELECT id FROM contacts)', 'INSERT');
SELECT limit_to_organizations();
