-- The HMAC of an event covers digests of its personal values instead of the values, so that these can be erased later.
ALTER TABLE audit_events
  ADD COLUMN personal     jsonb,                       -- digests of the values of the actor and of the subject, and where these are; null if the
                                                       -- HMAC covers the values themselves, as in events before this column existed
  ADD COLUMN actor_salt   text,                        -- key of the digest of the actor's values; null if they were erased
  ADD COLUMN subject_salt text;                        -- key of the digest of the subject's values; null if they were erased, or there are none

-- Removing a salt replaces its values by "erased". No other change of an event is possible.
CREATE FUNCTION erase_values(event audit_events, paths jsonb) RETURNS audit_events LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  path text;
BEGIN
  FOR path IN SELECT jsonb_array_elements_text(coalesce(paths, '[]')) LOOP
    IF path = 'target' THEN event.target := 'erased';
    ELSIF path LIKE 'before.%' THEN event.before := jsonb_set(event.before, ARRAY[substr(path, 8)], '"erased"');
    ELSE event.after := jsonb_set(event.after, ARRAY[substr(path, 7)], '"erased"');
    END IF;
  END LOOP;
  RETURN event;
END $$;
CREATE FUNCTION refuse_unless_erased() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  salts CONSTANT text[] := '{actor_salt,subject_salt}';
BEGIN
  IF to_jsonb(NEW) - salts <> to_jsonb(OLD) - salts OR NEW.actor_salt <> coalesce(OLD.actor_salt, '')
      OR NEW.subject_salt <> coalesce(OLD.subject_salt, '') THEN
    RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'restrict_violation';
  END IF;
  IF NEW.actor_salt IS NULL AND OLD.actor_salt IS NOT NULL THEN
    NEW.actor_name := 'erased';
    NEW.address := 'erased';
    NEW := erase_values(NEW, OLD.personal -> 'actor_paths');
  END IF;
  IF NEW.subject_salt IS NULL AND OLD.subject_salt IS NOT NULL THEN
    NEW := erase_values(NEW, OLD.personal -> 'subject_paths');
  END IF;
  RETURN NEW;
END $$;
DROP TRIGGER audit_events_append_only ON audit_events;
CREATE TRIGGER audit_events_append_only BEFORE TRUNCATE ON audit_events
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_events_erased_only BEFORE UPDATE ON audit_events
  FOR EACH ROW EXECUTE FUNCTION refuse_unless_erased();

-- As before, with the erasure of values.
CREATE OR REPLACE FUNCTION restrict_roles() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  -- Roles belong to the whole server, so their existence does not mean that they are used in this database.
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'keyturn_serve') THEN RETURN; END IF;
  IF NOT has_table_privilege('keyturn_serve', 'changes', 'INSERT') THEN RETURN; END IF;
  REVOKE UPDATE, DELETE ON audit_events, audit_checkpoints FROM keyturn_serve;
  GRANT UPDATE (actor_salt, subject_salt) ON audit_events TO keyturn_serve;
  REVOKE INSERT, DELETE ON audit_anchor FROM keyturn_serve;
  REVOKE INSERT, UPDATE, DELETE ON migrations, organization_limits, audit_archives FROM keyturn_serve;
  GRANT SELECT ON clients, client_ids, access_keys, organizations, trusts, changes, migrations TO keyturn_token;
  GRANT SELECT (id, organization) ON contacts TO keyturn_token;
  GRANT SELECT (id, client, access_key, client_id, generation, verifier, key_version, hint, hash, created_at, retires_at, ended_as,
    registration) ON secrets TO keyturn_token;
END $$;
SELECT restrict_roles();
