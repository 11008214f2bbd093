-- The last use of each break-glass operator token. It remains after the token and its contact are deleted, so that ending the token does not
-- hide that it was used.
CREATE TABLE break_glass_uses (
  token           uuid PRIMARY KEY,                    -- bounded_tokens.id
  token_name      text NOT NULL,
  contact         uuid REFERENCES contacts ON DELETE SET NULL,
  contact_name    text NOT NULL,
  organization    uuid NOT NULL REFERENCES organizations ON DELETE CASCADE, -- of the contact
  used_at         timestamptz NOT NULL,                -- to the minute
  acknowledged_at timestamptz                          -- null, or before used_at: the use needs attention
);
CREATE INDEX break_glass_uses_used ON break_glass_uses (used_at);

INSERT INTO organization_limits (table_name, condition, privileges)
  VALUES ('break_glass_uses', 'organization = {organization}', 'SELECT, UPDATE');
SELECT limit_to_organizations();
