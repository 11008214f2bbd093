import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { UsageError } from '../errors.ts';
import type { Database, Queryable, Transaction } from './database.ts';
import { ownCase, ownCreated } from './organization-limit.ts';

const directory = fileURLToPath(new URL('../../sql/', import.meta.url));

/** Arbitrary number of the advisory lock with which only one process migrates at a time. */
const advisoryLock = 0x6b_65_79_74;

/** Brings the schema up to date. Returns the names of the migrations that it applied. */
export async function migrate(database: Database): Promise<string[]> {
  // Commands and servers on a migrated database do not load it.
  const { default: Postgrator } = await import('postgrator');
  const names: string[] = [];
  /** Applies all migrations, or those up to a fill that has more rows. Returns whether it has applied all. */
  const advance = async (transaction: Transaction): Promise<boolean> => {
    await transaction.run(`SELECT pg_advisory_xact_lock(${advisoryLock})`);
    const postgrator = new Postgrator({
      migrationPattern: `${directory}*.sql`,
      driver: 'pg',
      schemaTable: 'migrations',
      execQuery: async (query) => ({ rows: await transaction.query(query) }),
      execSqlScript: (script) => transaction.run(script),
    });
    const apply = async (version?: number) => {
      const applied = await postgrator.migrate(version?.toString());
      names.push(...applied.map(({ filename }) => basename(filename)));
    };
    for (const { after, statement } of fills) {
      if ((await postgrator.getDatabaseVersion()) < after) await apply(after);
      if ((await postgrator.getDatabaseVersion()) > after) continue;
      const filled = await transaction.query(statement, [rowsOfFill]);
      if (filled.length === rowsOfFill) return false;
    }
    await apply();
    await buildSmallIndexes(transaction);
    // Also without a new migration: the role may have been created since, or a restored database lacks the policies.
    await transaction.query('SELECT limit_to_organizations()');
    return true;
  };
  while (!(await database.transaction(advance)));
  await buildLargeIndexes(database);
  return names;
}

/**
 * Statements that fill a column of a large table after the migration that adds it, and before the next one, which requires
 * it. Each fills up to $1 rows and returns them. It is repeated in transactions of its own, so that no row is locked for
 * long. If it is interrupted, the next `migrate` continues.
 */
const fills = [
  {
    after: 126,
    statement: `UPDATE access_keys k SET organization = c.organization
      FROM (SELECT id FROM access_keys WHERE organization IS NULL ORDER BY id LIMIT $1 FOR NO KEY UPDATE) n, contacts c
      WHERE k.id = n.id AND c.id = k.contact RETURNING k.id`,
  },
  {
    after: 126,
    statement: `UPDATE secrets s SET organization = n.organization FROM (
        SELECT id, organization_of_owner(coalesce(client, access_key)) AS organization FROM secrets
        WHERE organization IS NULL AND retires_at > now() - interval '1 hour' AND ended_as IS NULL
        ORDER BY retires_at LIMIT $1 FOR NO KEY UPDATE
      ) n WHERE s.id = n.id RETURNING s.id`,
  },
  {
    after: 126,
    // A row that is locked is being written, so its trigger sets the organization.
    statement: `UPDATE usage_sources s SET organization = n.organization FROM (
        SELECT owner, generation, address, user_agent, organization_of_owner(owner) AS organization FROM usage_sources
        WHERE organization IS NULL AND refused_as IN ('retired_secret', 'undone_secret', 'key_left_set')
          AND refused_at > now() - interval '8 days' AND organization_of_owner(owner) IS NOT NULL
        ORDER BY refused_at DESC LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
      ) n WHERE (s.owner, s.generation, s.address, s.user_agent) = (n.owner, n.generation, n.address, n.user_agent) RETURNING s.owner`,
  },
] as const;
/** Rows that are locked at a time: for about a second, since every index of the table gets a new entry. */
const rowsOfFill = 1_000;

/** @throws {UsageError} if the schema is missing or older than this version requires. */
export async function requireMigrated(database: Database): Promise<void> {
  const expected = await latestVersion();
  const [table] = await database.query<{ found: string | null }>(`SELECT to_regclass('migrations')::text AS found`);
  const [row] = table?.found
    ? await database.query<{ version: number }>('SELECT max(version) AS version FROM migrations')
    : [];
  if (!row || Number(row.version) < expected) {
    throw new UsageError('The database is not migrated. Run `keyturn migrate` once, then start again.');
  }
}

async function latestVersion(): Promise<number> {
  if (!existsSync(directory)) throw new UsageError(`The migrations are missing: ${directory}`);
  const versions = (await readdir(directory)).map((name) => Number.parseInt(name, 10)).filter(Number.isInteger);
  return Math.max(...versions);
}

/**
 * Indexes of tables that can have a million rows. They are not part of a migration, which would block writes to such a
 * table until the index is complete, but are built while the previous version serves requests. Only speed depends on
 * them.
 */
export const indexes = [
  // Lists of clients in their order, by each filter.
  ['clients_by_kind', 'clients', '(kind, created_at DESC, id DESC)'],
  ['clients_by_status', 'clients', '(enabled, created_at DESC, id DESC)'],
  ['clients_own_listed', 'clients', `(organization, ${ownCreated} DESC, id DESC, kind, enabled)`],
  ['contacts_own_listed', 'contacts', `(organization, ${ownCreated} DESC, id DESC)`],
  ['organizations_words', 'organizations', 'USING gin (array_to_tsvector(words_of(name))) WITH (fastupdate = off)'],
  ['clients_by_name', 'clients', '(lower(name), id)'],
  ['clients_by_kind_and_name', 'clients', '(kind, lower(name), id)'],
  ['contacts_by_name', 'contacts', '(lower(name), id)'],
  ['organizations_by_name', 'organizations', '(lower(name), id)'],
  ['access_keys_by_name', 'access_keys', '(lower(name), id)'],
  ['clients_words', 'clients', 'USING gin (array_to_tsvector(words_of(name))) WITH (fastupdate = off)'],
  [
    'contacts_words',
    'contacts',
    'USING gin (array_to_tsvector(words_of(name) || words_of(email))) WITH (fastupdate = off)',
  ],
  // The words of each organization, for `own_with_words`.
  ['clients_own_words', 'clients', 'USING gin (own_words(organization, words_of(name))) WITH (fastupdate = off)'],
  [
    'contacts_own_words',
    'contacts',
    'USING gin (own_words(organization, words_of(name) || words_of(email))) WITH (fastupdate = off)',
  ],
  // Access keys that were not used lately. The index of the list in its order would be read as a whole if they are few.
  ['access_keys_unused', 'access_keys', '(coalesce(last_used_at, created_at))'],
  // Access keys that may be used with a client. The nil UUID stands for any client.
  [
    'access_keys_clients',
    'access_keys',
    `USING gin (coalesce(clients, '{00000000-0000-0000-0000-000000000000}')) WITH (fastupdate = off)`,
  ],
  // The lists of an organization. CASE has the value of COALESCE (`coalesced` in organization-limit.ts).
  [
    'access_keys_own_listed',
    'access_keys',
    `(organization, ${ownCreated} DESC, id DESC, enabled, ${ownCase('expires_at', `'infinity'`)}, ${ownCase('last_used_at', 'created_at')})`,
  ],
  ['access_keys_own_ending', 'access_keys', `(organization, ${ownCase('expires_at', `'infinity'`)}, id) WHERE enabled`],
  ['access_keys_own_idle', 'access_keys', `(organization, ${ownCase('last_used_at', 'created_at')}) WHERE enabled`],
  [
    'secrets_own_retiring',
    'secrets',
    '(organization, retires_at, id) WHERE retires_at IS NOT NULL AND ended_as IS NULL',
  ],
  [
    'usage_sources_own_refused',
    'usage_sources',
    `(organization, refused_at DESC) WHERE refused_as IN ('retired_secret', 'undone_secret', 'key_left_set')`,
  ],
  [
    'clients_own_unused',
    'clients',
    `(organization, ${ownCase('last_used_at', 'created_at')}) WHERE enabled AND kind = 'integration'`,
  ],
  // For the list of what needs attention, the most urgent first. Few rows are in the first two.
  ['secrets_retiring', 'secrets', '(retires_at) WHERE retires_at IS NOT NULL AND ended_as IS NULL'],
  // For the list of what ends, in which many may end at the same time.
  ['secrets_retiring_each', 'secrets', '(retires_at, id) WHERE retires_at IS NOT NULL AND ended_as IS NULL'],
  ['access_keys_ending_each', 'access_keys', `(coalesce(expires_at, 'infinity'), id) WHERE enabled`],
  [
    'usage_sources_refused',
    'usage_sources',
    `(refused_at DESC) WHERE refused_as IN ('retired_secret', 'undone_secret', 'key_left_set')`,
  ],
  // Without a condition that lists of expired keys fulfil, because they would read all of it.
  ['access_keys_ending', 'access_keys', `(coalesce(expires_at, 'infinity'))`],
  ['access_keys_idle', 'access_keys', '(coalesce(last_used_at, created_at)) WHERE enabled'],
  ['clients_unused', 'clients', `(coalesce(last_used_at, created_at)) WHERE enabled AND kind = 'integration'`],
  [
    'clients_certificates',
    'clients',
    `(created_at DESC) WHERE enabled AND auth_method = 'self_signed_tls_client_auth'`,
  ],
  // Search by the beginning or end of a Client ID, the end of a secret, and the address of a source.
  ['client_ids_beginning', 'client_ids', '(lower(client_id) text_pattern_ops)'],
  ['client_ids_end', 'client_ids', '(reverse(lower(client_id)) text_pattern_ops)'],
  // The Client IDs of each organization, for `own_client_ids`.
  ['clients_own_beginning', 'clients', '(organization, lower(client_id) text_pattern_ops)'],
  ['clients_own_end', 'clients', '(organization, reverse(lower(client_id)) text_pattern_ops)'],
  ['secrets_client_hint', 'secrets', '(hint) WHERE client IS NOT NULL'],
  ['usage_sources_address', 'usage_sources', '(address text_pattern_ops)'],
  // Each filter of the audit log, in the order of its list.
  ['audit_events_at', 'audit_events', '(at DESC, seq DESC)'],
  ['audit_events_target', 'audit_events', '(target, at DESC, seq DESC)'],
  ['audit_events_action', 'audit_events', '(action, at DESC, seq DESC)'],
  ['audit_events_actor', 'audit_events', '(actor, at DESC, seq DESC)'],
  ['audit_events_organization', 'audit_events', '(organization, at DESC, seq DESC) WHERE organization IS NOT NULL'],
  // Whether an actor is of the organization, by the name.
  ['audit_events_own_actors', 'audit_events', '(organization, actor_name, actor) WHERE organization IS NOT NULL'],
  // The number of integrations.
  ['clients_own_kinds', 'clients', '(organization, kind)'],
  ['contacts_own_names', 'contacts', '(organization, name)'],
  ['clients_own_names', 'clients', '(organization, name)'],
  ['audit_events_actor_action', 'audit_events', '(actor, action, at DESC, seq DESC)'],
] as const;

const smallTable = 10_000;
const maxAttempts = 5;

/** Builds the missing indexes of small tables, which takes milliseconds, in the transaction of the migrations. */
async function buildSmallIndexes(transaction: Transaction): Promise<void> {
  for (const [name, table, definition] of indexes) {
    if ((await stateOf(transaction, name)) !== 'missing') continue;
    const [row] = await transaction.query<{ large: boolean }>(
      `SELECT EXISTS (SELECT FROM ${table} OFFSET ${smallTable}) AS large`,
    );
    if (!row?.large) await transaction.run(`CREATE INDEX ${name} ON ${table} ${definition}`);
  }
}

/** Builds the missing indexes of large tables without blocking writes. Several processes can run it concurrently. */
export async function buildLargeIndexes(database: Database): Promise<void> {
  for (const [name, table, definition] of indexes) {
    for (let attempt = 1; ; ) {
      const state = await stateOf(database, name);
      if (state === 'valid') break;
      if (state === 'building') {
        await sleep(1_000);
        continue;
      }
      try {
        // Drop the invalid index that an interrupted build left.
        if (state === 'broken') await database.run(`DROP INDEX CONCURRENTLY IF EXISTS ${name}`);
        await database.run(`CREATE INDEX CONCURRENTLY IF NOT EXISTS ${name} ON ${table} ${definition}`);
      } catch (error) {
        // Ignore the error, because another process may have started to build the index at the same moment.
        if (attempt === maxAttempts) throw error;
      }
      attempt += 1;
    }
  }
}

async function stateOf(database: Queryable, name: string): Promise<'missing' | 'building' | 'broken' | 'valid'> {
  const [index] = await database.query<{ valid: boolean; building: boolean }>(
    `SELECT indisvalid AS valid, EXISTS (SELECT FROM pg_stat_progress_create_index WHERE index_relid = indexrelid) AS building
     FROM pg_index WHERE indexrelid = to_regclass($1)`,
    [name],
  );
  if (!index) return 'missing';
  if (index.valid) return 'valid';
  return index.building ? 'building' : 'broken';
}
