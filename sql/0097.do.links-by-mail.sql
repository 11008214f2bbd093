-- Requests for a sign-in link to the portal by e-mail. Each is stored in the same way, whether or not a contact has the address; links are
-- made afterwards.
CREATE TABLE mail_link_requests (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  email        text NOT NULL,                          -- as entered, in lower case
  browser      bytea NOT NULL,                         -- SHA-256 of the cookie of the browser that asks
  address      text NOT NULL,                          -- that the request came from
  language     text NOT NULL,                          -- of the page
  next         text NOT NULL,                          -- path to continue at after the sign-in
  requested_at timestamptz NOT NULL,
  answered     boolean NOT NULL DEFAULT false,
  mailed_at    timestamptz,                            -- null: no mail, because of an earlier one or because no contact has the address
  expires_at   timestamptz NOT NULL
);
CREATE INDEX mail_link_requests_new ON mail_link_requests (id) WHERE NOT answered;
CREATE INDEX mail_link_requests_email ON mail_link_requests (email);
CREATE INDEX mail_link_requests_browser ON mail_link_requests (browser);
CREATE INDEX mail_link_requests_expires ON mail_link_requests (expires_at);

-- For a link that was sent by e-mail: the address, in lower case. Only browsers that have asked for a link to it can use the link.
ALTER TABLE console_links ADD COLUMN email text;

CREATE INDEX contacts_email ON contacts (lower(email));
