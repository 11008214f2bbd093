ALTER TABLE clients
  -- The contact who owns the client. A contact who owns clients is not deleted; only an earlier version does that.
  ADD COLUMN owner_contact    uuid REFERENCES contacts ON DELETE SET NULL,
  ADD COLUMN description      text,
  ADD COLUMN labels           jsonb NOT NULL DEFAULT '{}',   -- {"key": "value"}
  ADD COLUMN metadata         jsonb NOT NULL DEFAULT '{}',   -- a JSON object of the operator's own, at most 16 KiB
  ADD COLUMN contacts         text[] NOT NULL DEFAULT '{}',  -- whom to ask about the client, such as e-mail addresses (RFC 7591 §2)
  ADD COLUMN access_token_ttl integer CHECK (access_token_ttl BETWEEN 60 AND 86400), -- seconds; null: the deployment's
  ADD COLUMN default_scope    text[],                        -- integration: what a token request without scope gets; null: everything
  ADD COLUMN claims           jsonb NOT NULL DEFAULT '{}';   -- members of its introspections and JWTs
ALTER TABLE access_keys
  ADD COLUMN description text,
  ADD COLUMN labels      jsonb NOT NULL DEFAULT '{}',
  ADD COLUMN claims      jsonb NOT NULL DEFAULT '{}';

CREATE INDEX clients_owner ON clients (owner_contact) WHERE owner_contact IS NOT NULL;
CREATE INDEX clients_labels ON clients USING gin (labels) WHERE labels <> '{}';
CREATE INDEX clients_ttl ON clients (access_token_ttl) WHERE access_token_ttl IS NOT NULL;
CREATE INDEX access_keys_labels ON access_keys USING gin (labels) WHERE labels <> '{}';

-- Every key that may sign knows the longest lifetime that any client or resource server asks for, before a token with it is issued.
-- Processes of all versions create and rotate keys, so the database sees to it.
CREATE FUNCTION cover_token_lifetimes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.token_seconds := greatest(NEW.token_seconds, (SELECT max(access_token_ttl) FROM clients));
  RETURN NEW;
END $$;
CREATE TRIGGER signing_keys_cover_lifetimes BEFORE INSERT ON signing_keys FOR EACH ROW EXECUTE FUNCTION cover_token_lifetimes();

CREATE FUNCTION raise_token_lifetimes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE signing_keys SET token_seconds = NEW.access_token_ttl
  WHERE state <> 'retired' AND token_seconds < NEW.access_token_ttl;
  IF FOUND THEN
    INSERT INTO changes (kind, target, at, expires_at) VALUES ('signing_keys', 'all', now(), now() + interval '24 hours');
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER clients_raise_lifetimes AFTER INSERT OR UPDATE OF access_token_ttl ON clients FOR EACH ROW
  WHEN (NEW.access_token_ttl IS NOT NULL) EXECUTE FUNCTION raise_token_lifetimes();
