import { permissions } from '../src/contacts/contact.ts';
import { createContact, issueOperatorToken } from '../src/contacts/manage-contacts.ts';
import { askPostgres } from '../test/services.ts';
import { createBenchDatabase } from './bench-database.ts';

/** How much a deployment contains. Each organization has as many contacts as integrations, and two access keys per contact. */
export type Size = { organizations: number; integrations: number };

/** Returns SQL for an id of version 4 that is made of a text. */
const idOf = (text: string) => `overlay(overlay(md5(${text}) placing '4' from 13) placing '8' from 17)::uuid`;

/**
 * Inserts organizations with what belongs to them. A tenth of the integrations is in a grace period, which ends so late that
 * no notice is due.
 */
const seed = ({ organizations, integrations }: Size) => `
  INSERT INTO organizations (id, name, external_id, created_at, updated_at)
    SELECT ${idOf("'o' || o")}, CASE WHEN o % 100 = 1 THEN 'Acme ' ELSE 'Customer ' END || o, 'crm-' || o,
      now() - o * interval '1 minute', now() FROM generate_series(1, ${organizations}) o;
  INSERT INTO clients (id, client_id, kind, name, auth_method, organization, created_at, updated_at)
    SELECT ${idOf("'c' || o || '-' || n")}, 'kti_' || left(md5('i' || o || '-' || n), 22), 'integration',
      CASE WHEN o % 100 = 1 THEN 'Acme sync ' ELSE 'Order sync ' END || n || ' of ' || o, 'client_secret_basic',
      ${idOf("'o' || o")}, now() - (o * 10 + n) * interval '1 minute', now()
    FROM generate_series(1, ${organizations}) o, generate_series(1, ${integrations}) n;
  INSERT INTO client_ids SELECT client_id, id FROM clients WHERE organization IS NOT NULL ON CONFLICT DO NOTHING;
  INSERT INTO contacts (id, name, email, organization, created_at, updated_at)
    SELECT ${idOf("'p' || o || '-' || n")}, CASE WHEN o % 100 = 1 THEN 'Acme person ' ELSE 'Person ' END || n || ' of ' || o,
      'p' || n || '@' || o || '.example', ${idOf("'o' || o")}, now() - (o * 10 + n) * interval '1 minute', now()
    FROM generate_series(1, ${organizations}) o, generate_series(1, ${integrations}) n;
  INSERT INTO access_keys (id, contact, name, scope, created_at, updated_at, expires_at)
    SELECT gen_random_uuid(), id, 'Key ' || k, '{}', created_at, now(), CASE WHEN k = 1 THEN now() + interval '60 days' END
    FROM contacts, generate_series(1, 2) k WHERE email LIKE '%.example';
  INSERT INTO secrets (id, access_key, generation, verifier, key_version, hint, created_at)
    SELECT gen_random_uuid(), id, 1, uuid_send(gen_random_uuid()), 'v1', left(md5(id::text), 4), created_at FROM access_keys;
  INSERT INTO secrets (id, client, client_id, generation, verifier, key_version, hint, created_at, retires_at)
    SELECT gen_random_uuid(), id, client_id, g, uuid_send(gen_random_uuid()), 'v1', left(md5(client_id), 4), created_at,
      CASE WHEN g = 1 THEN CASE WHEN hashtext(client_id) % 10 = 0 THEN now() + interval '25 days' ELSE created_at END END
    FROM clients, generate_series(1, 2) g WHERE kind = 'integration';
  INSERT INTO regenerations (id, client, old_secret, new_secret, finish_when_unused, revoke_tokens, created_at, created_by,
      ended_at, ended_as, ended_by)
    SELECT gen_random_uuid(), old.client, old.id, new.id, false, false, old.created_at, 'op',
      CASE WHEN old.retires_at < now() THEN old.retires_at END, CASE WHEN old.retires_at < now() THEN 'finished' END,
      CASE WHEN old.retires_at < now() THEN 'op' END
    FROM secrets old JOIN secrets new ON new.client = old.client AND new.generation = 2 WHERE old.generation = 1;
  INSERT INTO usage_sources (owner, generation, address, user_agent, first_used_at, last_used_at, refused, expires_at)
    SELECT client, generation, '192.0.2.1', 'sync/1.0', created_at, now() - interval '1 hour', 0, now() + interval '30 days'
    FROM secrets WHERE client IS NOT NULL;
  INSERT INTO usage_source_hours (owner, generation, address, user_agent, starts_at, issued, expires_at)
    SELECT client, generation, '192.0.2.1', 'sync/1.0', date_trunc('hour', now()), 5, now() + interval '30 days'
    FROM secrets WHERE client IS NOT NULL;
  INSERT INTO audit_events (seq, at, actor, actor_name, action, target_type, target, organization, key_version, mac)
    SELECT -row_number() OVER (ORDER BY created_at DESC), created_at, 'op', 'Operator', 'client.create', 'client', client_id,
      organization, 'v1', '' FROM clients WHERE kind = 'integration';
  ANALYZE`;

export type SeededDeployment = {
  env: Record<string, string>;
  operatorToken: string;
  /** An organization in the middle, and its first integration. */
  organization: string;
  clientId: string;
  remove(): Promise<void>;
};

/** Creates a migrated database with organizations, and an operator with all permissions. */
export async function seedOrganizations(
  stores: { databaseUrl: string; redisUrl: string },
  size: Size,
): Promise<SeededDeployment> {
  const suffix = `_${size.organizations}_${size.integrations}`;
  const { env, core, remove } = await createBenchDatabase(stores, suffix);
  const grantor = { id: 'bench', name: 'bench', address: null, permissions: [...permissions], organizationId: null };
  const operatorToken = await core.change(async (transaction) => {
    const person = { name: 'Operator', email: 'operator@bench.test', permissions: [...permissions] };
    const { id } = await createContact(transaction, core, grantor, person);
    return (await issueOperatorToken(transaction, core, grantor, id)).operatorToken;
  });
  await core.close();
  const { DATABASE_URL: databaseUrl = '' } = env;
  for (const statement of seed(size).split(';')) await askPostgres(databaseUrl, statement);
  const middle = Math.ceil(size.organizations / 2);
  const [row] = await askPostgres(
    databaseUrl,
    `SELECT client_id, organization FROM clients WHERE id = ${idOf(`'c${middle}-1'`)}`,
  );
  return {
    env,
    operatorToken,
    organization: String(row?.['organization']),
    clientId: String(row?.['client_id']),
    remove,
  };
}
