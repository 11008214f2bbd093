-- How far each target of KEYTURN_AUDIT_STREAMS has received the audit log. One process at a time sends to a target.
CREATE TABLE audit_streams (
  name            text PRIMARY KEY,                    -- of the target, in the configuration
  seq             bigint NOT NULL DEFAULT 0,           -- of the last event that the target has accepted
  mac             bytea NOT NULL DEFAULT '',           -- of that event
  lease           uuid,                                -- of the process that sends
  leased_until    timestamptz NOT NULL DEFAULT '-infinity', -- by the clock of the database
  attempts        integer NOT NULL DEFAULT 0,          -- failed ones since the last success
  next_at         timestamptz NOT NULL DEFAULT '-infinity', -- of the next attempt
  failing_since   timestamptz,                         -- of the first failure since the last success
  last_failure    text,                                -- in words of Keyturn or of the status line; never a body
  last_success_at timestamptz
);
