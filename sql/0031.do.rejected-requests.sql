-- Requests that were rejected, and introspections of tokens that were not active, for a day, to say later which rule decided. At most
-- 50,000 are kept. Nothing that the caller sent is stored except the request ID. There is no foreign key, as in the usage tables.
CREATE TABLE rejected_requests (
  seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id         text NOT NULL,                            -- the X-Request-Id
  at         timestamptz NOT NULL,
  path       text NOT NULL,
  status     smallint NOT NULL,
  code       text,                                     -- the error code of the answer; null for an introspection
  reason     text NOT NULL,                            -- the rule that decided
  client     uuid,                                     -- that sent the request; null if unknown
  decided_by uuid,                                     -- the client or access key whose state decided
  generation integer,                                  -- of the presented secret
  expires_at timestamptz NOT NULL
);
CREATE INDEX rejected_requests_id ON rejected_requests (id);
CREATE INDEX rejected_requests_client ON rejected_requests (client, seq DESC) WHERE client IS NOT NULL;
CREATE INDEX rejected_requests_expires ON rejected_requests (expires_at);
