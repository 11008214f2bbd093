import { asSecretOwner as asAccessKeyOwner, lockAccessKey } from '../access-keys/access-key-store.ts';
import { type Actor, appendAuditEvent, type CommitChange } from '../audit/audit-log.ts';
import { asSecretOwner, lockClientById } from '../clients/client-store.ts';
import { deleteOperatorToken } from '../contacts/contact-store.ts';
import { isLive } from '../credentials/secret.ts';
import { deleteBoundedToken } from '../operator-tokens/bounded-token-store.ts';
import type { Clock } from '../process/clock.ts';
import { endSecret } from '../regeneration/regeneration-store.ts';
import { findSecrets, type OwnerRef, type SecretOwner } from '../secrets/secret-store.ts';
import type { Transaction } from '../storage/database.ts';
import { revokeToken } from '../tokens/revocation.ts';
import type { Leak } from './find-leaks.ts';

/**
 * Ends a leaked credential now. A client secret or an access key value ends together with every live token of its
 * owner, because it is unknown which tokens were obtained with it. An access token or an operator token ends alone.
 * Other credentials of the owner, such as the other secret of a grace period, stay valid.
 * @returns false if the credential is unknown or has already ended.
 */
export async function endLeak(
  deps: { clock: Clock; change: CommitChange },
  actor: Actor,
  leak: Leak,
): Promise<boolean> {
  const at = new Date(deps.clock());
  switch (leak.kind) {
    case 'client_secret':
    case 'access_key':
      return (
        leak.found !== undefined && (await deps.change((transaction) => endLeakedSecret(transaction, actor, leak, at)))
      );
    case 'access_token':
      return (
        leak.found?.isLive === true &&
        (await deps.change((transaction) => endLeakedToken(transaction, actor, leak, at)))
      );
    case 'operator_token':
      return (
        leak.found !== undefined && (await deps.change((transaction) => endOperatorToken(transaction, actor, leak, at)))
      );
  }
}

type Leaked<K extends Leak['kind']> = Leak & { kind: K };

async function endLeakedSecret(
  transaction: Transaction,
  actor: Actor,
  { found }: Leaked<'client_secret' | 'access_key'>,
  at: Date,
): Promise<boolean> {
  const owner = found && (await lockSecretOwner(transaction, found.owner));
  if (!owner) return false;
  const secret = (await findSecrets(transaction, owner)).find(({ id }) => id === found.secret.id);
  if (!secret || !isLive(secret, at.getTime())) return false;
  await endSecret(transaction, secret, at, actor);
  await owner.save(transaction, { tokens: 'revoke' }, at);
  await appendAuditEvent(transaction, {
    at,
    actor,
    action: `${owner.targetType}.end_leaked_secret`,
    targetType: owner.targetType,
    target: owner.target,
    before: { generation: secret.generation, hint: secret.hint, retires_at: secret.retiresAt },
    after: { retires_at: at },
  });
  return true;
}

async function endLeakedToken(
  transaction: Transaction,
  actor: Actor,
  { found }: Leaked<'access_token'>,
  at: Date,
): Promise<boolean> {
  if (!found) return false;
  await revokeToken(transaction, found.record, at);
  await appendAuditEvent(transaction, {
    at,
    actor,
    action: 'token.end_leaked',
    targetType: 'token',
    target: found.record.jti,
    before: { client_id: found.record.clientId ?? null, access_key_id: found.record.accessKey?.id ?? null },
  });
  return true;
}

async function endOperatorToken(
  transaction: Transaction,
  actor: Actor,
  { found, hint }: Leaked<'operator_token'>,
  at: Date,
): Promise<boolean> {
  // Any operator may end it, even one with fewer permissions, because a leaked token can be used by everyone who has
  // it.
  if (!found) return false;
  const { contact, bounded } = found;
  const isEnded = bounded
    ? await deleteBoundedToken(transaction, bounded, at)
    : await deleteOperatorToken(transaction, contact.id, at);
  if (!isEnded) return false;
  await appendAuditEvent(transaction, {
    at,
    actor,
    action: 'operator_token.end_leaked',
    targetType: 'operator_token',
    target: found.contact.id,
    before: { hint },
  });
  return true;
}

/** Locks any owner of secrets until the transaction ends. Returns undefined if it does not exist. */
export async function lockSecretOwner(transaction: Transaction, ref: OwnerRef): Promise<SecretOwner | undefined> {
  if (ref.kind === 'access_key') {
    const key = await lockAccessKey(transaction, ref.id);
    return key && asAccessKeyOwner(key);
  }
  const client = await lockClientById(transaction, ref.id);
  return client && asSecretOwner(client);
}
