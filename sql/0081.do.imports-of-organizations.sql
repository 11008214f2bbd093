-- Client IDs and secrets are unique in the whole deployment. An import by an operator of an organization must know which of those in its
-- file are taken, also by clients that the operator does not see. These functions read them with the rights of the owner of the schema.
CREATE FUNCTION taken_client_ids(text[]) RETURNS SETOF text LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
  $$ SELECT client_id FROM client_ids WHERE client_id = ANY ($1) $$;
CREATE FUNCTION taken_verifiers(bytea[]) RETURNS SETOF bytea LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
  $$ SELECT verifier FROM secrets WHERE verifier = ANY ($1) $$;
