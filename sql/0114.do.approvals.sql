-- Which acts need the approval of a second person. The row of an organization adds to that of the deployment.
CREATE TABLE approval_settings (
  organization uuid PRIMARY KEY REFERENCES organizations ON DELETE CASCADE,
  acts         text[] NOT NULL,                        -- revoke_all, delete, root_key, policies
  reveal_hours integer                                 -- hours after its generation in which a secret is shown without approval; null: always
);

-- Requests for approval. The requester repeats the same request with the id of the approved one, once.
CREATE TABLE approvals (
  id             uuid PRIMARY KEY,
  organization   uuid NOT NULL REFERENCES organizations ON DELETE CASCADE, -- of the requester
  act            text NOT NULL,
  route          text NOT NULL,                        -- method and path of the endpoint, or the command
  subject_type   text NOT NULL,
  subject        text NOT NULL,                        -- as the audit log names it
  subject_name   text NOT NULL,
  permission     text NOT NULL,                        -- that the act needs, and the one who approves it
  body           jsonb NOT NULL,                       -- of the request
  digest         bytea NOT NULL,                       -- SHA-256 of route, parameters and body
  requester      text NOT NULL,                        -- actor of the audit log
  requester_name text NOT NULL,
  reason         text,
  state          text NOT NULL CHECK (state IN ('pending', 'approved', 'refused', 'withdrawn', 'used', 'expired')),
  decided_by     text,
  decided_name   text,
  note           text,                                 -- of the one who decided
  created_at     timestamptz NOT NULL,
  decided_at     timestamptz,
  used_at        timestamptz,
  ends_at        timestamptz NOT NULL                  -- when it expires, unless it is decided or used before
);
CREATE INDEX approvals_listed ON approvals (created_at DESC, id DESC);
CREATE INDEX approvals_open ON approvals (ends_at) WHERE state IN ('pending', 'approved');
CREATE INDEX approvals_same ON approvals (requester, digest);
CREATE INDEX approvals_organization ON approvals (organization, created_at DESC, id DESC);

INSERT INTO organization_limits (table_name, condition, privileges) VALUES
  ('approval_settings', 'organization = {organization}', 'SELECT, INSERT, UPDATE'),
  ('approvals', 'organization = {organization}', 'SELECT, INSERT, UPDATE');
SELECT limit_to_organizations();
