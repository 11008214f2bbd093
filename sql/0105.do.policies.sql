-- Rules about credentials. Those of the deployment's organization apply to all; an organization can have stricter ones in addition.
CREATE TABLE policies (
  organization uuid NOT NULL REFERENCES organizations ON DELETE CASCADE, -- that of the deployment: for all organizations
  name         text NOT NULL,
  stage        text NOT NULL CHECK (stage IN ('report', 'warn', 'enforce')),
  days         integer CHECK (days BETWEEN 1 AND 3650), -- the limit of secret_age and unused; null for the others
  grace_days   integer CHECK (grace_days BETWEEN 1 AND 30), -- the grace period of rotations that secret_age opens
  since        timestamptz NOT NULL,                   -- when the policy was first set
  updated_at   timestamptz NOT NULL,
  PRIMARY KEY (organization, name)
);

-- Operators of an organization see what applies to them. Only those of the deployment set policies.
INSERT INTO organization_limits (table_name, condition, privileges) VALUES ('policies',
  'organization = {organization} OR organization = ''00000000-0000-8000-8000-000000000001''', 'SELECT');
SELECT limit_to_organizations();

-- The oldest current secrets, and what the posture of a deployment finds.
CREATE INDEX secrets_oldest ON secrets (created_at) WHERE retires_at IS NULL;
CREATE INDEX clients_without_owner ON clients (created_at) WHERE enabled AND owner_contact IS NULL;
CREATE INDEX clients_with_secret ON clients (created_at) WHERE enabled AND auth_method LIKE 'client_secret%';
