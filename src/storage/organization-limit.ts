import { AsyncLocalStorage } from 'node:async_hooks';
import { Forbidden } from '../errors.ts';
import type { Database, Queryable, Row, Transaction } from './database.ts';

/**
 * Limits what operators of an organization can read and write to the rows of that organization, by the row-level security
 * of PostgreSQL (sql/0047.do.reach-of-operators.sql). A condition that a query forgets then shows nothing.
 */

/** The id of the organization of the deployment itself. It is the same in every database. */
export const deploymentOrganization = '00000000-0000-8000-8000-000000000001';

/** SQL condition for a statement in which row-level security shows the rows of one organization alone. */
export const isLimited = `(current_user = 'keyturn_organization')`;

/**
 * Returns an SQL condition for rows with the organization that a limited database is limited to in this context; `true` if it
 * is not. Row-level security that reads the owner of a row cannot use an index, but this condition can.
 */
export function isOwn(column: string): string {
  return ownOrganization() === undefined ? 'true' : `${column} = own_organization()`;
}

/** Returns COALESCE of two SQL expressions as the indexes of organizations have it. */
export function ownCase(value: string, otherwise: string): string {
  return `(CASE WHEN ${value} IS NULL THEN ${otherwise} ELSE ${value} END)`;
}

/**
 * Returns COALESCE of two SQL expressions in the form of the index that this context uses. With row-level security,
 * PostgreSQL uses no index for a condition on COALESCE, because it does not know that this reveals nothing, but it does for CASE.
 */
export function coalesced(value: string, otherwise: string): string {
  return ownOrganization() === undefined ? `coalesce(${value}, ${otherwise})` : ownCase(value, otherwise);
}

/**
 * SQL expression for `created_at` in lists of one organization. PostgreSQL can sort by it only with an index that begins
 * with the organization. By `created_at`, it can choose the index of all organizations, and would read every newer row of
 * the others, because it expects that the rows of each organization are spread evenly.
 */
export const ownCreated = `(CASE WHEN created_at > '-infinity' THEN created_at END)`;

/** Returns the SQL expression for `created_at` in lists of this context: of one organization if the database is limited to it. */
export function createdKey(): string {
  return ownOrganization() === undefined ? 'created_at' : ownCreated;
}

type Limit = { organizationId: string; contactId: string | null };

const limitedTo = new AsyncLocalStorage<Limit>();
const limited = new WeakSet<Transaction>();

/** Returns the organization that a limited database is limited to in this context; undefined if it is not. */
export function ownOrganization(): string | undefined {
  return limitedTo.getStore()?.organizationId;
}

/**
 * Runs work in which a limited database shows only what belongs to an organization.
 * @param organizationId null for no limit.
 * @param contactId limits it further, to what belongs to one contact; null for no such limit.
 */
export function withinOrganization<T>(
  organizationId: string | null,
  work: () => Promise<T>,
  contactId: string | null = null,
): Promise<T> {
  return organizationId === null ? work() : limitedTo.run({ organizationId, contactId }, work);
}

/**
 * Returns a database that `withinOrganization` limits. Caches and background work use the given one, which it does not.
 */
export function limitDatabase(database: Database): Database {
  const transaction = async <T>(work: (transaction: Transaction) => Promise<T>): Promise<T> => {
    const limit = limitedTo.getStore();
    if (limit === undefined) return await database.transaction(work);
    return await database
      .transaction(async (inner) => {
        await enter(inner, limit);
        return await work(inner);
      })
      .catch(rethrow);
  };
  const query = async <R extends Row>(sql: string, parameters: readonly unknown[] = []): Promise<R[]> =>
    limitedTo.getStore() === undefined
      ? await database.query<R>(sql, parameters)
      : await transaction((inner) => inner.query<R>(sql, parameters));
  const run: Queryable['run'] = async (script) => {
    if (limitedTo.getStore() !== undefined) throw new Error('scripts are not limited to an organization');
    await database.run(script);
  };
  return { ...database, query, run, transaction };
}

/** The settings end with the transaction. */
async function enter(transaction: Transaction, { organizationId, contactId }: Limit): Promise<void> {
  await transaction.query(
    `SELECT set_config('keyturn.organization', $1, true), set_config('keyturn.contact', $2, true),
       set_config('role', 'keyturn_organization', true)`,
    [organizationId, contactId ?? ''],
  );
  limited.add(transaction);
}

/** Ends the limit of a transaction, for what Keyturn itself records at its end. Does nothing if it has none. */
export async function leaveOrganization(transaction: Transaction): Promise<void> {
  if (limited.delete(transaction)) await setRole(transaction, 'none');
}

/** Runs one query of a transaction without its limit, for what applies to an organization and is not shown to it. */
export async function queryUnlimited<R extends Row>(
  transaction: Transaction,
  sql: string,
  parameters?: readonly unknown[],
): Promise<R[]> {
  if (!limited.has(transaction)) return await transaction.query<R>(sql, parameters);
  await setRole(transaction, 'none');
  // If the query fails, the transaction can only be rolled back.
  const rows = await transaction.query<R>(sql, parameters);
  await setRole(transaction, 'keyturn_organization');
  return rows;
}

async function setRole(transaction: Transaction, role: 'none' | 'keyturn_organization'): Promise<void> {
  await transaction.query(`SELECT set_config('role', '${role}', true)`);
}

/** SQLSTATE of a privilege that the role lacks, and of a row that its policies do not allow. */
const refused = '42501';
/** SQLSTATE of a role that does not exist, and of a table in a schema that it must not use. */
const notSetUp = ['22023', '42P01'];

function rethrow(error: unknown): never {
  const code = error instanceof Error ? (error as { code?: unknown }).code : undefined;
  if (notSetUp.includes(String(code)) || (code === refused && /\brole\b/.test((error as Error).message))) {
    throw new Forbidden(
      'The database cannot limit operators to their organization. Run deploy/postgres/roles.sql, then `keyturn migrate`.',
    );
  }
  if (code === refused) throw new Forbidden('This does not belong to your organization.');
  throw error;
}
