-- The `typ` of the JWT access tokens of a resource server. It has no effect where `token_format` is not 'jwt'.
ALTER TABLE clients ADD token_typ text NOT NULL DEFAULT 'at+jwt' CHECK (token_typ IN ('at+jwt', 'JWT'));
