-- Since when records of access tokens are authenticated. Empty in a new database. In one of an earlier version, tokens that were issued
-- until an hour later are accepted without it, so that the roll-out ends none.
CREATE TABLE authenticated_token_records (since timestamptz PRIMARY KEY);
INSERT INTO authenticated_token_records SELECT now() WHERE EXISTS (SELECT FROM clients);
