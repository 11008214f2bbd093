-- A token that was issued without a requested scope contains the versions of the scopes that it was granted by, so that it never gains scope.
-- Versions are random, because a counter would repeat a value after a promoted standby lost the last commits.
ALTER TABLE clients
  -- The version of scope, or of information for a resource server.
  ADD COLUMN scope_version integer NOT NULL DEFAULT 0,
  -- Earlier values, oldest first: [{"version", "scope", "until" (seconds since the epoch)}].
  ADD COLUMN scope_history jsonb NOT NULL DEFAULT '[]';
ALTER TABLE access_keys
  ADD COLUMN scope_version integer NOT NULL DEFAULT 0,
  ADD COLUMN scope_history jsonb NOT NULL DEFAULT '[]';

-- Keeps the last 100 values of the last 25 hours, which is longer than any access token lives. Older versions allow nothing.
CREATE FUNCTION keep_scope_history() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  previous text[] := OLD.scope;
BEGIN
  IF TG_TABLE_NAME = 'clients' AND to_jsonb(OLD) ->> 'kind' = 'resource_server' THEN
    previous := ARRAY(SELECT jsonb_array_elements_text(to_jsonb(OLD) -> 'information'));
  END IF;
  NEW.scope_history := (
    SELECT jsonb_agg(entry ORDER BY place) FROM (
      SELECT entry, place FROM jsonb_array_elements(
        OLD.scope_history
        || jsonb_build_object('version', OLD.scope_version, 'scope', previous, 'until', floor(extract(epoch FROM clock_timestamp())))
      ) WITH ORDINALITY AS entries (entry, place)
      WHERE (entry ->> 'until')::numeric > extract(epoch FROM clock_timestamp()) - 25 * 3600
      ORDER BY place DESC LIMIT 100
    ) AS kept
  );
  -- Below 2^28, which is four bytes in a token's record.
  NEW.scope_version := 1 + floor(random() * 268435455);
  RETURN NEW;
END $$;
CREATE TRIGGER clients_scope_history BEFORE UPDATE ON clients FOR EACH ROW
  WHEN (OLD.scope IS DISTINCT FROM NEW.scope OR OLD.information IS DISTINCT FROM NEW.information)
  EXECUTE FUNCTION keep_scope_history();
CREATE TRIGGER access_keys_scope_history BEFORE UPDATE ON access_keys FOR EACH ROW
  WHEN (OLD.scope IS DISTINCT FROM NEW.scope) EXECUTE FUNCTION keep_scope_history();
