import type { SessionSite } from '../sessions/session-store.ts';
import type { Queryable, Row, Transaction } from '../storage/database.ts';
import { recordRemoved } from '../storage/lost-rows.ts';

/** A link that signs a contact in for the first time, once. */
export type Invitation = {
  id: string;
  contactId: string;
  contactName: string;
  email: string;
  organizationId: string;
  site: SessionSite;
  invitedName: string;
  createdAt: Date;
  expiresAt: Date;
  acceptedAt: Date | null;
};

const columns = `i.id, i.contact AS "contactId", c.name AS "contactName", c.email, c.organization AS "organizationId", i.site,
  i.invited_name AS "invitedName", i.created_at AS "createdAt", i.expires_at AS "expiresAt", i.accepted_at AS "acceptedAt"`;
const from = 'FROM invitations i JOIN contacts c ON c.id = i.contact';

/** @param code SHA-256 of the code in the link. @param sealed a sealed copy of the link. */
export async function insertInvitation(
  transaction: Transaction,
  { id, contactId, site, createdAt, expiresAt }: Invitation,
  {
    code,
    sealed,
    invitedBy,
    invitedName,
  }: { code: Uint8Array; sealed: string; invitedBy: string; invitedName: string },
): Promise<void> {
  await transaction.query(
    `INSERT INTO invitations (id, contact, site, code, sealed, invited_by, invited_name, created_at, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
    [id, contactId, site, code, sealed, invitedBy, invitedName, createdAt, expiresAt],
  );
}

/** Deletes the invitations of a contact to a site that were not accepted, whose links then no longer work. */
export async function deleteOpen(
  transaction: Transaction,
  contactId: string,
  site: SessionSite,
  at: Date,
): Promise<void> {
  const rows = await transaction.query<{ id: string }>(
    'DELETE FROM invitations WHERE contact = $1 AND site = $2 AND accepted_at IS NULL RETURNING id',
    [contactId, site],
  );
  const ids = rows.map(({ id }) => id);
  await recordRemoved(transaction, 'invitations', ids, at);
}

export async function deleteInvitation(transaction: Transaction, id: string, at: Date): Promise<void> {
  await transaction.query('DELETE FROM invitations WHERE id = $1', [id]);
  await recordRemoved(transaction, 'invitations', [id], at);
}

export async function lockInvitation(transaction: Transaction, id: string): Promise<Invitation | undefined> {
  const [row] = await transaction.query<Row & Invitation>(`SELECT ${columns} ${from} WHERE i.id = $1 FOR UPDATE OF i`, [
    id,
  ]);
  return row;
}

/** Lists the latest invitations, at most 1,000. */
export async function listInvitations(database: Queryable): Promise<Invitation[]> {
  return await database.query<Row & Invitation>(
    `SELECT ${columns} ${from} ORDER BY i.created_at DESC, i.id DESC LIMIT 1000`,
  );
}

/** Returns the sealed link of an invitation that can still be accepted. */
export async function findSealedLink(database: Queryable, id: string, now: Date): Promise<string | undefined> {
  const [row] = await database.query<{ sealed: string | null }>(
    'SELECT sealed FROM invitations WHERE id = $1 AND accepted_at IS NULL AND expires_at > $2',
    [id, now],
  );
  return row?.sealed ?? undefined;
}

/** Finds who an invitation signs in, without accepting it. @param code SHA-256 of the code in the link. */
export async function findInvited(
  database: Queryable,
  site: SessionSite,
  code: Uint8Array,
  now: Date,
): Promise<{ name: string; organizationId: string } | undefined> {
  const [row] = await database.query<{ name: string; organizationId: string }>(
    `SELECT c.name, c.organization AS "organizationId" ${from} WHERE i.code = $1 AND i.site = $2 AND i.expires_at > $3`,
    [code, site, now],
  );
  return row;
}

/**
 * Accepts an invitation, whose link then no longer works.
 * @returns the contact, and the verifier of its operator token if it has one.
 */
export async function acceptInvitation(
  database: Queryable,
  site: SessionSite,
  code: Uint8Array,
  now: Date,
): Promise<{ contact: string; operatorToken: Uint8Array | null } | undefined> {
  const [row] = await database.query<{ contact: string; operatorToken: Uint8Array | null }>(
    `UPDATE invitations i SET accepted_at = $3, code = NULL, sealed = NULL
     WHERE i.code = $1 AND i.site = $2 AND i.expires_at > $3
     RETURNING i.contact, (SELECT verifier FROM operator_tokens WHERE contact = i.contact) AS "operatorToken"`,
    [code, site, now],
  );
  return row;
}
