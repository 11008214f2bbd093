-- The longest lifetime of a token that the key signs; null for a key that only the version before has used. A longer one is forged.
ALTER TABLE signing_keys ADD token_seconds integer;
