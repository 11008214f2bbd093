-- Codes of hand-overs that are sent by e-mail, so that the receiver proves the address.
ALTER TABLE handovers
  ADD code_from     text NOT NULL DEFAULT 'operator' CHECK (code_from IN ('operator', 'mail')), -- who passes the code on
  ADD sealed_code   text,                              -- the code in the mail, encrypted under the root key; null: none
  ADD code_sent_at  timestamptz,                       -- when the current code was requested; it is valid for ten minutes
  ADD codes_sent    integer NOT NULL DEFAULT 0,
  ADD code_language text;                              -- of the mail: that of the page on which it was requested
COMMENT ON COLUMN handovers.code IS 'HMAC-SHA-256 of the code, with the value in the link as the key; null: ended, or none was sent yet';
