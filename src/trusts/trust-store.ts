import type { ClientJwks } from '../clients/verification-key.ts';
import { recordChange } from '../storage/change.ts';
import type { Queryable, Row, Transaction } from '../storage/database.ts';
import { recordDistrusted } from '../storage/lost-rows.ts';
import { countRows, type Page, type Slice, selectPage, type Total } from '../storage/page-by-text.ts';
import type { Condition, PresetName, Trust, TrustKeys } from './trust.ts';

type TrustRow = Row & {
  id: string;
  client: string;
  client_id: string;
  client_name: string;
  name: string;
  preset: PresetName;
  issuer: string;
  audience: string;
  keys: { source: TrustKeys['source']; jwks: ClientJwks | null; jwks_uri: string | null; ca: string | null };
  conditions: (Omit<Condition, 'oneOf'> & { one_of?: string[] })[];
  max_lifetime: number;
  enabled: boolean;
  revision: number;
  created_at: Date;
  updated_at: Date;
};

const columns = 't.*, c.client_id, c.name AS client_name';
const joined = 'trusts t JOIN clients c ON c.id = t.client';

/** Lists the enabled trusts of all clients. */
export async function listEnabledTrusts(database: Queryable): Promise<Trust[]> {
  const rows = await database.query<TrustRow>(
    `SELECT ${columns} FROM ${joined} WHERE t.enabled ORDER BY t.created_at, t.id`,
  );
  return rows.map(toTrust);
}

export async function findTrust(database: Queryable, id: string): Promise<Trust | undefined> {
  const rows = await database.query<TrustRow>(`SELECT ${columns} FROM ${joined} WHERE t.id = $1`, [id]);
  return rows[0] && toTrust(rows[0]);
}

/** Finds a trust and locks it until the transaction ends. */
export async function lockTrust(transaction: Transaction, id: string): Promise<Trust | undefined> {
  const rows = await transaction.query<TrustRow>(`SELECT ${columns} FROM ${joined} WHERE t.id = $1 FOR UPDATE OF t`, [
    id,
  ]);
  return rows[0] && toTrust(rows[0]);
}

export type TrustFilter = {
  /** The id of the client, to list only its trusts. */
  client?: string | undefined;
  /** Search text: a part of the name or of the issuer. */
  q?: string | undefined;
};

/** Lists trusts, newest first. Returns one row more than `limit` if there is another page. */
export async function listTrusts(database: Queryable, filter: TrustFilter & Slice): Promise<Trust[]> {
  const parameters: unknown[] = [];
  const page = { ...pageOf(filter, parameters), slice: filter };
  const select = (query: string, order: string) =>
    `SELECT page.*, c.client_id, c.name AS client_name FROM (${query}) page JOIN clients c ON c.id = page.client ${order}`;
  const rows = await selectPage<TrustRow>(database, page, { select, parameters });
  return rows.map(toTrust);
}

export async function countTrusts(database: Queryable, filter: TrustFilter): Promise<Total> {
  return await countRows(database, (parameters) => pageOf(filter, parameters));
}

function pageOf({ client, q }: TrustFilter, parameters: unknown[]): Omit<Page, 'slice'> {
  const bind = (value: unknown) => `$${parameters.push(value)}`;
  const where: string[] = [];
  if (client !== undefined) where.push(`client = ${bind(client)}`);
  if (q !== undefined) {
    const text = bind(q.toLowerCase());
    where.push(`(strpos(lower(name), ${text}) > 0 OR strpos(lower(issuer), ${text}) > 0)`);
  }
  return { table: 'trusts', where, among: undefined, search: undefined };
}

/** Returns whether a client has an enabled trust. @param id if given, this one. */
export async function hasEnabledTrust(database: Queryable, client: string, id?: string): Promise<boolean> {
  const rows = await database.query(
    'SELECT 1 FROM trusts WHERE client = $1 AND enabled AND ($2::uuid IS NULL OR id = $2) LIMIT 1',
    [client, id ?? null],
  );
  return rows.length > 0;
}

export async function insertTrust(transaction: Transaction, trust: Trust): Promise<void> {
  await transaction.query(
    `INSERT INTO trusts (id, client, name, preset, issuer, audience, keys, conditions, max_lifetime, enabled, created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb, $8::jsonb, $9, $10, $11, $11)`,
    [trust.id, trust.client, trust.name, trust.preset, trust.issuer, ...stored(trust), trust.enabled, trust.createdAt],
  );
  await announceTrusts(transaction, trust.createdAt);
}

/** Saves the changeable members, increments the revision and records the change for other processes. */
export async function saveTrust(transaction: Transaction, trust: Trust, at: Date): Promise<Trust> {
  await transaction.query(
    `UPDATE trusts SET name = $2, preset = $3, issuer = $4, audience = $5, keys = $6::jsonb, conditions = $7::jsonb, max_lifetime = $8,
       enabled = $9, updated_at = $10, revision = revision + 1 WHERE id = $1`,
    [trust.id, trust.name, trust.preset, trust.issuer, ...stored(trust), trust.enabled, at],
  );
  await announceTrusts(transaction, at);
  return { ...trust, updatedAt: at, revision: trust.revision + 1 };
}

export async function deleteTrust(transaction: Transaction, id: string, at: Date): Promise<void> {
  await transaction.query('DELETE FROM trusts WHERE id = $1', [id]);
  await recordDistrusted(transaction, 'trusts', id, at);
  await announceTrusts(transaction, at);
}

/** Records that trusts have changed, so that every process reads them again. */
async function announceTrusts(transaction: Transaction, at: Date): Promise<void> {
  await recordChange(transaction, { kind: 'trusts', target: 'all', at });
}

/** Returns the values of the columns audience, keys, conditions and max_lifetime. */
function stored({ audience, keys, conditions, maxLifetimeSeconds }: Trust): [string, string, string, number] {
  const { source, jwks, jwksUri, ca } = keys;
  return [
    audience,
    JSON.stringify({ source, jwks, jwks_uri: jwksUri, ca }),
    JSON.stringify(conditions.map(({ claim, equals, oneOf, prefix }) => ({ claim, equals, one_of: oneOf, prefix }))),
    maxLifetimeSeconds,
  ];
}

function toTrust(row: TrustRow): Trust {
  return {
    id: row.id,
    client: row.client,
    clientId: row.client_id,
    clientName: row.client_name,
    name: row.name,
    preset: row.preset,
    issuer: row.issuer,
    audience: row.audience,
    keys: { source: row.keys.source, jwks: row.keys.jwks, jwksUri: row.keys.jwks_uri, ca: row.keys.ca },
    conditions: row.conditions.map(({ one_of: oneOf, ...condition }) =>
      oneOf ? { claim: condition.claim, oneOf } : (condition as Condition),
    ),
    maxLifetimeSeconds: row.max_lifetime,
    enabled: row.enabled,
    revision: row.revision,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
