-- Which kinds of notices are told. A receiver's setting wins over that of the organization, and that over the one of the deployment.
CREATE TABLE notice_switches (
  organization uuid NOT NULL REFERENCES organizations ON DELETE CASCADE, -- that of the deployment: for all organizations
  receiver     text NOT NULL,                          -- of mails; empty: everybody in the organization
  kind         text NOT NULL,
  enabled      boolean NOT NULL,
  PRIMARY KEY (organization, receiver, kind)
);

ALTER TABLE contacts ADD language text;                -- of mails; null: English

INSERT INTO organization_limits (table_name, condition) VALUES ('notice_switches', 'organization = {organization}');
SELECT limit_to_organizations();
