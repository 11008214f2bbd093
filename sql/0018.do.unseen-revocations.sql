-- Revocations of tokens that could not be looked up, because the token store did not answer or may have lost them. The revocation itself
-- is in `changes`. This table limits how many of them there are.
CREATE TABLE unseen_revocations (
  client     uuid NOT NULL REFERENCES clients ON DELETE CASCADE,
  jti        text NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (client, jti)
);
CREATE INDEX unseen_revocations_expires ON unseen_revocations (expires_at);
