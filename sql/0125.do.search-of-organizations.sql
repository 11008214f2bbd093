-- A list of all clients or contacts of an organization is too long to make for each query. EXISTS looks up the owner of each row that is read.
UPDATE organization_limits SET condition = (
  SELECT string_agg(format('EXISTS (SELECT FROM %1$I WHERE %1$I.id = %2$I.owner)', name, table_name), ' OR ')
  FROM unnest(ARRAY['clients', 'access_keys', 'client_keys'] || CASE table_name WHEN 'usage_sources' THEN ARRAY['bounded_tokens'] END) AS name
) WHERE condition LIKE 'owner IN (SELECT id FROM clients UNION ALL%';
UPDATE organization_limits
  SET condition = 'EXISTS (SELECT FROM contacts WHERE id = CASE WHEN operator ~ ''^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'' THEN operator::uuid END)'
  WHERE table_name = 'idempotency_keys';
UPDATE organization_limits
  SET condition = regexp_replace(condition, '(\w+) IN \(SELECT id FROM (\w+)\)', format('EXISTS (SELECT FROM \2 WHERE \2.id = %I.\1)', table_name), 'g');
-- PostgreSQL expects a comparison with <> to be true, but IS NULL to be false for nearly all rows, and would then not use the index of a list.
UPDATE organization_limits SET condition = replace(condition, '{contact} IS NULL', 'CASE WHEN {contact} IS NULL THEN 1 ELSE 0 END <> 0');
DO $$ DECLARE changed record; BEGIN
  FOR changed IN SELECT * FROM organization_limits WHERE condition LIKE '%EXISTS%' OR policy = 'own_contact' ORDER BY table_name LOOP
    EXECUTE format('DROP POLICY IF EXISTS %I ON %I', changed.policy, changed.table_name);
  END LOOP;
END $$;
SELECT limit_to_organizations();

-- Row-level security lets PostgreSQL use an index only for conditions that cannot reveal other rows, such as the equality of an organization.
-- A condition on words or on a part of a Client ID could. So the functions below read their index with the rights of the owner of the schema,
-- and return only what belongs to the organization in the setting that the policies compare. Their indexes begin with the organization, so
-- that the rows of others cost no time. The policies apply to what is done with the result.
CREATE FUNCTION own_organization() RETURNS uuid LANGUAGE sql STABLE
RETURN nullif(current_setting('keyturn.organization', true), '')::uuid;

-- Words as an organization has them. A word has no space, so that they differ from those of other organizations.
CREATE FUNCTION own_words(organization uuid, words text[]) RETURNS tsvector LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN array_to_tsvector(ARRAY(SELECT organization || ' ' || word FROM unnest(words) word));
CREATE FUNCTION begins_own_words(organization uuid, words text[]) RETURNS tsquery LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (SELECT string_agg('''' || organization || ' ' || word || ''':*', ' & ')::tsquery FROM unnest(words) word);

-- Returns the ids of the clients or contacts of the organization that have all words of a text.
CREATE FUNCTION own_with_words(table_name text, searched text) RETURNS SETOF uuid LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  sought CONSTANT tsquery := begins_own_words(own_organization(), words_of(searched));
BEGIN
  IF table_name = 'clients' THEN
    RETURN QUERY SELECT id FROM clients WHERE own_words(organization, words_of(name)) @@ sought;
  ELSIF table_name = 'contacts' THEN
    RETURN QUERY SELECT id FROM contacts WHERE own_words(organization, words_of(name) || words_of(email)) @@ sought;
  END IF;
END $$;

-- Returns the clients of the organization whose current Client ID begins, after kti_ or not, or ends with a text in lower case; at most so
-- many of each. U+10FFFF is the last character.
CREATE FUNCTION own_client_ids(part text, most integer) RETURNS TABLE (id uuid, client_id text) LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = public, pg_temp SET enable_seqscan = off AS $$
  (SELECT id, client_id FROM clients WHERE organization = own_organization()
     AND lower(client_id) ~>=~ part AND lower(client_id) ~<~ (part || U&'\+10FFFF') ORDER BY lower(client_id) USING ~<~ LIMIT most)
  UNION ALL
  (SELECT id, client_id FROM clients WHERE organization = own_organization()
     AND lower(client_id) ~>=~ ('kti_' || part) AND lower(client_id) ~<~ ('kti_' || part || U&'\+10FFFF') ORDER BY lower(client_id) USING ~<~ LIMIT most)
  UNION ALL
  (SELECT id, client_id FROM clients WHERE organization = own_organization()
     AND reverse(lower(client_id)) ~>=~ reverse(part) AND reverse(lower(client_id)) ~<~ (reverse(part) || U&'\+10FFFF')
     ORDER BY reverse(lower(client_id)) USING ~<~ LIMIT most)
$$;
