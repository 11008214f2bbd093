-- Links that sign a contact in for the first time, once. Sending an invitation again replaces its link.
CREATE TABLE invitations (
  id           uuid PRIMARY KEY,
  contact      uuid NOT NULL REFERENCES contacts ON DELETE CASCADE,
  site         text NOT NULL CHECK (site IN ('console', 'portal')),
  code         bytea UNIQUE,                           -- SHA-256 of the random code in the link; null once it was used
  sealed       text,                                   -- a sealed copy of the link, for the e-mail; null once it was used
  invited_by   text NOT NULL,
  invited_name text NOT NULL,
  created_at   timestamptz NOT NULL,
  expires_at   timestamptz NOT NULL,
  accepted_at  timestamptz
);
CREATE INDEX invitations_contact ON invitations (contact);
CREATE INDEX invitations_listed ON invitations (created_at DESC, id DESC);

INSERT INTO organization_limits (table_name, condition) VALUES ('invitations', 'contact IN (SELECT id FROM contacts)');
SELECT limit_to_organizations();
