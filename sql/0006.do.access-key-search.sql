-- The complete list is searched by the beginnings of words: of the key's name, and of its contact's.
CREATE FUNCTION words_of(text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN array_remove(string_to_array(
  translate(lower($1), E'!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~…\t\r\n', repeat(' ', 36)), ' '), '');

-- Every word of the text as the beginning of a word; null where there is none.
CREATE FUNCTION begins_words(text) RETURNS tsquery LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (SELECT string_agg('''' || word || ''':*', ' & ')::tsquery FROM unnest(words_of($1)) word);

ALTER TABLE access_keys ADD words tsvector;                          -- by the triggers below

CREATE FUNCTION set_access_key_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  SELECT array_to_tsvector(words_of(NEW.name) || words_of(c.name)) INTO NEW.words FROM contacts c WHERE c.id = NEW.contact;
  RETURN NEW;
END $$;
CREATE TRIGGER access_keys_words BEFORE INSERT OR UPDATE OF name, contact ON access_keys
  FOR EACH ROW EXECUTE FUNCTION set_access_key_words();

-- Locked in the order of ids first, in which whoever locks several keys does it.
CREATE FUNCTION follow_contact_name() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM access_keys WHERE contact = NEW.id ORDER BY id FOR NO KEY UPDATE;
  UPDATE access_keys SET name = name WHERE contact = NEW.id;
  RETURN NULL;
END $$;
CREATE TRIGGER contacts_name_followed AFTER UPDATE OF name ON contacts
  FOR EACH ROW WHEN (OLD.name IS DISTINCT FROM NEW.name) EXECUTE FUNCTION follow_contact_name();

UPDATE access_keys SET name = name;
ALTER TABLE access_keys ALTER words SET NOT NULL;
CREATE INDEX access_keys_words ON access_keys USING gin (words) WITH (fastupdate = off);
DROP INDEX access_keys_name;
DROP INDEX contacts_name;

-- The complete list is walked in its order, and all that it is filtered by is in the index: what is not shown is not fetched.
CREATE INDEX access_keys_listed ON access_keys
  (created_at DESC, id DESC, enabled, coalesce(expires_at, 'infinity'), coalesce(last_used_at, created_at));
-- Few are disabled or ever end.
CREATE INDEX access_keys_listed_disabled ON access_keys (created_at DESC, id DESC, coalesce(last_used_at, created_at)) WHERE NOT enabled;
CREATE INDEX access_keys_listed_ending ON access_keys
  (created_at DESC, id DESC, enabled, expires_at, coalesce(last_used_at, created_at)) WHERE expires_at IS NOT NULL;
DROP INDEX access_keys_created;
DROP INDEX access_keys_disabled;
DROP INDEX access_keys_expires;
DROP INDEX access_keys_last_used;

-- The last four characters of a key's value, to find a key that is only known by them.
CREATE INDEX secrets_access_key_hint ON secrets (hint) WHERE access_key IS NOT NULL;
