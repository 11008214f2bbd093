-- Receivers of notices over HTTP, by the Standard Webhooks specification. Their deliveries are rows of notice_deliveries.
CREATE TABLE webhooks (
  id             uuid PRIMARY KEY,
  organization   uuid NOT NULL REFERENCES organizations ON DELETE CASCADE, -- whose notices it receives; that of the deployment: all
  name           text NOT NULL,
  url            text NOT NULL,
  kinds          text[],                               -- of notices; null: all, also later ones
  enabled        boolean NOT NULL DEFAULT true,
  failing_since  timestamptz,                          -- of the first failure since the last success
  last_failure   text,                                 -- in words of Keyturn or of the status line; never a body
  last_success_at timestamptz,
  disabled_as    text CHECK (disabled_as IN ('operator', 'failing', 'gone')), -- null: enabled
  revision       integer NOT NULL DEFAULT 1,           -- If-Match
  created_at     timestamptz NOT NULL,
  updated_at     timestamptz NOT NULL,
  CHECK (enabled = (disabled_as IS NULL))
);
CREATE INDEX webhooks_organization ON webhooks (organization, created_at DESC, id DESC);

-- Secrets that sign what is sent: at most two of a webhook are live. They have to be known in plaintext, so each is a sealed copy.
CREATE TABLE webhook_secrets (
  id         uuid PRIMARY KEY,
  webhook    uuid NOT NULL REFERENCES webhooks ON DELETE CASCADE,
  sealed     text NOT NULL,
  hint       text NOT NULL,                            -- the last four characters
  created_at timestamptz NOT NULL,
  retires_at timestamptz                               -- null: the current one
);
CREATE UNIQUE INDEX webhook_secrets_current ON webhook_secrets (webhook) WHERE retires_at IS NULL;
CREATE INDEX webhook_secrets_webhook ON webhook_secrets (webhook, created_at DESC);

-- What was delivered to one receiver, in its order.
CREATE INDEX notice_deliveries_receiver ON notice_deliveries (channel, receiver, position);

INSERT INTO organization_limits (table_name, condition) VALUES
  ('webhooks', 'organization = {organization}'),
  ('webhook_secrets', 'webhook IN (SELECT id FROM webhooks)');
SELECT limit_to_organizations();
