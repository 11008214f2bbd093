import type { Permission } from '../contacts/contact.ts';
import { isShutOut } from '../contacts/contact-store.ts';
import type { Verifier } from '../credentials/verifier.ts';
import type { NetworkLimit } from '../http/allowed-networks.ts';
import { recordChange, recordChanges } from '../storage/change.ts';
import type { Queryable, Row, Transaction } from '../storage/database.ts';
import type { BoundedToken } from './bounded-token.ts';

const columns = `t.id, t.contact AS "contactId", c.name AS "contactName", t.name, t.hint, t.permissions,
  t.organization AS "organizationId", t.networks AS "allowedNetworks", t.network_mode AS "networkMode", t.break_glass AS "breakGlass",
  t.created_at AS "createdAt", t.expires_at AS "expiresAt", t.last_used_at AS "lastUsedAt"`;
const from = 'FROM bounded_tokens t JOIN contacts c ON c.id = t.contact';

/** A token as a request presents it, with the current permissions of its contact. */
export type PresentedToken = BoundedToken & {
  contactPermissions: readonly Permission[];
  contactOrganization: string;
  isOrganizationEnabled: boolean;
};

/** Finds the token with one of these verifiers that has not expired. */
export async function findPresentedToken(
  database: Queryable,
  verifiers: readonly Uint8Array[],
  now: Date,
): Promise<PresentedToken | undefined> {
  const [row] = await database.query<Row & PresentedToken>(
    `SELECT ${columns}, c.permissions AS "contactPermissions", c.organization AS "contactOrganization",
       o.enabled AND coalesce(l.enabled, true) AS "isOrganizationEnabled"
     ${from} JOIN organizations o ON o.id = c.organization LEFT JOIN organizations l ON l.id = t.organization
     WHERE t.verifier = ANY ($1::bytea[]) AND (t.expires_at IS NULL OR t.expires_at > $2)
       AND NOT ${isShutOut}`,
    [verifiers, now],
  );
  return row;
}

/**
 * Lists tokens that have not expired, by contact and name, at most 1,000.
 * @param contactId undefined lists those of all contacts.
 */
export async function listBoundedTokens(
  database: Queryable,
  contactId: string | undefined,
  now: Date,
): Promise<BoundedToken[]> {
  return await database.query<Row & BoundedToken>(
    `SELECT ${columns} ${from} WHERE ($1::uuid IS NULL OR t.contact = $1) AND (t.expires_at IS NULL OR t.expires_at > $2)
     ORDER BY c.name, c.id, t.name, t.created_at, t.id LIMIT 1000`,
    [contactId ?? null, now],
  );
}

const live = `SELECT ${columns} ${from} WHERE t.id = $1 AND (t.expires_at IS NULL OR t.expires_at > $2)`;

/** Finds a token that has not expired. */
export async function findBoundedToken(database: Queryable, id: string, now: Date): Promise<BoundedToken | undefined> {
  return (await database.query<Row & BoundedToken>(live, [id, now]))[0];
}

export async function lockBoundedToken(
  transaction: Transaction,
  id: string,
  now: Date,
): Promise<BoundedToken | undefined> {
  return (await transaction.query<Row & BoundedToken>(`${live} FOR UPDATE OF t`, [id, now]))[0];
}

/** The person at an identity provider who got a token by `keyturn login`. */
export type TokenPerson = { provider: string | null; subject: string | null; sid: string | null };

export async function insertBoundedToken(
  transaction: Transaction,
  token: BoundedToken,
  { verifier, keyVersion }: Verifier,
  person?: TokenPerson,
): Promise<void> {
  await transaction.query(
    `INSERT INTO bounded_tokens (id, contact, name, verifier, key_version, hint, permissions, organization, networks,
       break_glass, created_at, expires_at, provider, subject, sid, network_mode)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
    [
      token.id,
      token.contactId,
      token.name,
      verifier,
      keyVersion,
      token.hint,
      token.permissions,
      token.organizationId,
      token.allowedNetworks,
      token.breakGlass,
      token.createdAt,
      token.expiresAt,
      person?.provider ?? null,
      person?.subject ?? null,
      person?.sid ?? null,
      token.networkMode,
    ],
  );
}

/** Saves the networks of a token, and records an enforced limit, so that it applies again if the database loses it. */
export async function setNetworks(transaction: Transaction, id: string, limit: NetworkLimit, at: Date): Promise<void> {
  await transaction.query('UPDATE bounded_tokens SET networks = $2, network_mode = $3 WHERE id = $1', [
    id,
    limit.allowedNetworks,
    limit.networkMode,
  ]);
  if (!limit.allowedNetworks || limit.networkMode !== 'enforce') return;
  const target = JSON.stringify([id, limit.allowedNetworks]);
  await recordChange(transaction, { kind: 'limited_bounded_token', target, at });
}

export async function setEnd(transaction: Transaction, id: string, expiresAt: Date): Promise<void> {
  await transaction.query('UPDATE bounded_tokens SET expires_at = $2 WHERE id = $1', [id, expiresAt]);
}

/** Deletes a token, and records that, so that it ends again if the database loses it. Returns whether there was one. */
export async function deleteBoundedToken(transaction: Transaction, id: string, at: Date): Promise<boolean> {
  const rows = await transaction.query('DELETE FROM bounded_tokens WHERE id = $1 RETURNING 1', [id]);
  await recordChange(transaction, { kind: 'removed_bounded_token', target: id, at });
  return rows.length > 0;
}

/** Records a use, unless one was recorded after `before`. Returns whether it was recorded. */
export async function noteUseOf(database: Queryable, id: string, at: Date, before: Date): Promise<boolean> {
  const rows = await database.query(
    `UPDATE bounded_tokens SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at <= $3) RETURNING 1`,
    [id, at, before],
  );
  return rows.length > 0;
}

/** Records the use of a break-glass token, which needs attention until it is acknowledged. */
export async function recordBreakGlassUse(transaction: Transaction, token: PresentedToken, at: Date): Promise<void> {
  await transaction.query(
    `INSERT INTO break_glass_uses (token, token_name, contact, contact_name, organization, used_at)
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (token) DO UPDATE SET used_at = $6`,
    [token.id, token.name, token.contactId, token.contactName, token.contactOrganization, at],
  );
}

export type BreakGlassUse = { token: string; name: string; contactId: string | null };

/** Acknowledges the uses of a break-glass token until now. Returns undefined if it was never used. */
export async function acknowledgeBreakGlassUse(
  transaction: Transaction,
  id: string,
  at: Date,
): Promise<BreakGlassUse | undefined> {
  const [use] = await transaction.query<Row & BreakGlassUse>(
    `UPDATE break_glass_uses SET acknowledged_at = $2 WHERE token = $1
     RETURNING token, token_name AS name, contact AS "contactId"`,
    [id, at],
  );
  return use;
}

/** Deletes the tokens of a person: all of them, or only those of one session at the identity provider. */
export async function deleteTokensOfPerson(
  transaction: Transaction,
  { provider, subject, sid }: { provider: string; subject: string | undefined; sid: string | undefined },
  at: Date,
): Promise<void> {
  const removed = await transaction.query<{ id: string }>(
    `DELETE FROM bounded_tokens WHERE provider = $1 AND ($2::text IS NULL OR subject = $2) AND ($3::text IS NULL OR sid = $3)
       AND ($2::text IS NOT NULL OR $3::text IS NOT NULL) RETURNING id`,
    [provider, subject ?? null, sid ?? null],
  );
  await recordChanges(
    transaction,
    removed.map(({ id }) => ({ kind: 'removed_bounded_token' as const, target: id })),
    at,
  );
}
