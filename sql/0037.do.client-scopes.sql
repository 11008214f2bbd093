-- Which declared scopes clients were granted, by the name that the tokens contain, so that a rename or removal can say who uses them.
CREATE TABLE client_scopes (
  client        uuid NOT NULL,                         -- no foreign key: a batch may arrive after its client is gone
  scope         text NOT NULL,
  count         bigint NOT NULL,
  first_used_at timestamptz NOT NULL,
  last_used_at  timestamptz NOT NULL,
  expires_at    timestamptz NOT NULL,
  PRIMARY KEY (client, scope)
);
CREATE INDEX client_scopes_scope ON client_scopes (scope, last_used_at DESC);
CREATE INDEX client_scopes_expires ON client_scopes (expires_at);
