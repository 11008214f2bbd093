-- The organization of the contact, so that lists of an organization have an index. `keyturn migrate` fills it in batches before the next
-- migration (src/storage/migrations.ts), because one statement would lock all access keys until it ends.
ALTER TABLE access_keys ADD organization uuid;
CREATE INDEX access_keys_without_organization ON access_keys (id) WHERE organization IS NULL;
-- Without statistics PostgreSQL expects that few rows are null, and would read all of them for each batch.
ANALYZE access_keys (organization);

-- With the rights of the owner of the schema, so that row-level security compares the organization also if the contact is of another one.
-- The lock keeps the contact from moving to another organization until the access key is visible to the trigger below.
CREATE FUNCTION set_access_key_organization() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  SELECT organization INTO NEW.organization FROM contacts WHERE id = NEW.contact FOR SHARE;
  RETURN NEW;
END $$;
CREATE TRIGGER access_keys_organization BEFORE INSERT OR UPDATE OF contact ON access_keys
  FOR EACH ROW EXECUTE FUNCTION set_access_key_organization();

-- Locked in the order of ids, in which all transactions lock several access keys.
CREATE FUNCTION follow_contact_organization() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM 1 FROM access_keys WHERE contact = NEW.id ORDER BY id FOR NO KEY UPDATE;
  UPDATE access_keys SET organization = NEW.organization WHERE contact = NEW.id;
  RETURN NULL;
END $$;
CREATE TRIGGER contacts_organization_followed AFTER UPDATE OF organization ON contacts
  FOR EACH ROW WHEN (OLD.organization IS DISTINCT FROM NEW.organization) EXECUTE FUNCTION follow_contact_organization();

-- The organization of the owner, for the lists of what needs attention in one organization. Only secrets that end at a time, and sources that
-- were rejected with an ended credential, have it, so that few rows are filled. Row-level security does not depend on it.
ALTER TABLE secrets ADD organization uuid;
ALTER TABLE usage_sources ADD organization uuid;

-- Returns the organization of a client, of an access key, or of the client of a key or certificate; null if the owner was deleted.
CREATE FUNCTION organization_of_owner(owner uuid) RETURNS uuid LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN coalesce(
    (SELECT organization FROM clients WHERE id = owner),
    (SELECT organization FROM access_keys WHERE id = owner),
    (SELECT c.organization FROM client_keys k JOIN clients c ON c.id = k.client WHERE k.id = owner));
END $$;
-- Operators of an organization must not ask for the organization of others.
REVOKE EXECUTE ON FUNCTION organization_of_owner FROM PUBLIC;
CREATE FUNCTION set_secret_organization() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  NEW.organization := organization_of_owner(coalesce(NEW.client, NEW.access_key));
  RETURN NEW;
END $$;
CREATE TRIGGER secrets_organization BEFORE INSERT OR UPDATE OF retires_at, ended_as ON secrets
  FOR EACH ROW WHEN (NEW.retires_at IS NOT NULL AND NEW.ended_as IS NULL) EXECUTE FUNCTION set_secret_organization();
CREATE FUNCTION set_source_organization() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  NEW.organization := organization_of_owner(NEW.owner);
  RETURN NEW;
END $$;
CREATE TRIGGER usage_sources_organization BEFORE INSERT OR UPDATE OF refused_as ON usage_sources
  FOR EACH ROW WHEN (NEW.organization IS NULL AND NEW.refused_as IN ('retired_secret', 'undone_secret', 'key_left_set'))
  EXECUTE FUNCTION set_source_organization();

CREATE FUNCTION follow_owner_organization() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  UPDATE secrets SET organization = NEW.organization WHERE (client = NEW.id OR access_key = NEW.id) AND organization IS NOT NULL;
  UPDATE usage_sources SET organization = NEW.organization
    WHERE owner IN (SELECT NEW.id UNION ALL SELECT id FROM client_keys WHERE client = NEW.id) AND organization IS NOT NULL;
  RETURN NULL;
END $$;
CREATE TRIGGER clients_organization_followed AFTER UPDATE OF organization ON clients
  FOR EACH ROW WHEN (OLD.organization <> NEW.organization) EXECUTE FUNCTION follow_owner_organization();
CREATE TRIGGER access_keys_organization_followed AFTER UPDATE OF organization ON access_keys
  FOR EACH ROW WHEN (OLD.organization <> NEW.organization) EXECUTE FUNCTION follow_owner_organization();
