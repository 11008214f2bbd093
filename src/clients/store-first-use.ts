import { type Actor, appendAuditEvent } from '../audit/audit-log.ts';
import { weaknessOf } from '../credentials/foreign-credential.ts';
import { awaitsFirstUse, type Secret } from '../credentials/secret.ts';
import { formatOf } from '../credentials/slow-hash.ts';
import { Conflict } from '../errors.ts';
import { findHashShapes, storeFirstUsed } from '../secrets/hashed-secrets.ts';
import { recordChange } from '../storage/change.ts';
import { type Transaction, unlessTaken } from '../storage/database.ts';
import { type Client, isSecretMethod, type KnownClient } from './client.ts';
import { announceClient, asSecretOwner, lockClientById } from './client-store.ts';
import type { ManageDeps } from './manage-clients.ts';

const keyturn: Actor = { id: 'keyturn', name: 'Keyturn', address: null };

/**
 * Returns the secrets that a client may present with this Client ID and that await their first use, newest first. A
 * disabled client has none.
 */
export function secretsAwaitingUse({ client, secrets }: KnownClient, clientId: string, now: number): Secret[] {
  if (!client.enabled || !isSecretMethod(client.authMethod)) return [];
  return secrets.filter((secret) => secret.clientId === clientId && awaitsFirstUse(secret, now));
}

/**
 * Stores a secret that was verified against its imported hash like every other secret, and deletes the hash. Does
 * nothing if another request has done so, or if the secret or its client has ended.
 * @param plaintext the secret as the client sent it.
 * @throws {Conflict} `secret_taken` if another client has the same secret.
 */
export async function storeFirstUse(
  transaction: Transaction,
  deps: ManageDeps,
  { id }: Pick<Client, 'id'>,
  secret: Secret,
  plaintext: string,
): Promise<void> {
  const at = new Date(deps.clock());
  const client = await lockClientById(transaction, id);
  if (!client) return;
  const taken = () => new Conflict('secret_taken', 'Another client has the same secret.');
  const owner = asSecretOwner(client);
  const hint = await unlessTaken(storeFirstUsed(transaction, deps, owner, secret, plaintext), taken);
  if (hint === undefined) return;
  await announceClient(transaction, client, at);
  const { clientId, generation, hash } = secret;
  await appendAuditEvent(transaction, {
    at,
    actor: keyturn,
    action: 'client.first_use',
    targetType: 'client',
    target: client.clientId,
    before: { client_id: clientId, generation, hash: formatOf(hash ?? '') },
    // The strength of a secret is unknown as long as only its hash is.
    after: {
      client_id: clientId,
      generation,
      hint,
      weak: weaknessOf(plaintext, [client.clientId, client.name], true) ?? null,
    },
  });
  // The audit log is locked now, so no other transaction can store the last but one secret at the same time.
  if ((await findHashShapes(transaction)).length > 0) return;
  await recordChange(transaction, { kind: 'foreign_client_ids', target: 'all', at });
}
