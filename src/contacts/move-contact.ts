import {
  ceilingExceeded,
  type Grant,
  type HeldOrganization,
  nameGrants,
  outlives,
  scopesBeyond,
} from '../clients/ceiling.ts';
import { listResourceServers } from '../clients/client-store.ts';
import { type Held, holdOrganizationsOf, requireRoom } from '../clients/hold-organizations.ts';
import { recordChanges } from '../storage/change.ts';
import type { Row, Transaction } from '../storage/database.ts';

/** Locks the organization of a contact, and the one that it moves to, before the contact. */
export async function holdForContact(transaction: Transaction, id: string, movesTo?: string): Promise<Held> {
  return await holdOrganizationsOf(transaction, 'SELECT organization FROM contacts WHERE id = $1', id, movesTo);
}

/**
 * Checks that the enabled access keys of a locked contact fit the ceiling of the organization that it moves to, and
 * deletes their copies if they must not be shown again there.
 * @throws {Conflict} `ceiling_exceeded` with the access keys.
 */
export async function moveKeys(
  transaction: Transaction,
  contactId: string,
  to: HeldOrganization,
  at: Date,
): Promise<void> {
  const keys = await transaction.query<Row & { enabled: boolean; createdAt: Date; expiresAt: Date | null } & Grant>(
    `SELECT 'access_key' AS kind, id, name, enabled, scope, NULL AS resource, created_at AS "createdAt", expires_at AS "expiresAt"
     FROM access_keys WHERE contact = $1 ORDER BY id FOR UPDATE`,
    [contactId],
  );
  const enabled = keys.filter((key) => key.enabled);
  await requireRoom(transaction, to, 'accessKeys', enabled.length);
  const servers = await listResourceServers(transaction);
  const beyond = enabled.filter(
    (key) => outlives(to.ceiling, key) || scopesBeyond(to.ceiling, key, servers).length > 0,
  );
  if (beyond.length > 0) {
    throw ceilingExceeded(
      'The ceiling of the organization does not allow the scopes or the expiry of access keys of this contact.',
      nameGrants(beyond),
    );
  }
  const ids = keys.map(({ id }) => id);
  if (!to.ceiling.reveal) {
    await transaction.query('UPDATE access_keys SET reveal = false WHERE id = ANY ($1::uuid[])', [ids]);
    await transaction.query('UPDATE secrets SET sealed = NULL WHERE access_key = ANY ($1::uuid[])', [ids]);
  }
  await recordChanges(
    transaction,
    ids.map((target) => ({ kind: 'access_key' as const, target })),
    at,
  );
}
