import { newTokenEpoch } from '../credentials/token-epoch.ts';
import { NotFound } from '../errors.ts';
import type { SecretOwner } from '../secrets/secret-owner.ts';
import type { Transaction } from '../storage/database.ts';
import type { AccessKey } from './access-key.ts';
import { lockAccessKey, saveAccessKey } from './access-key-store.ts';

/**
 * Presents a locked access key as an owner of secrets, so that access keys and client secrets share the code that
 * regenerates them.
 */
export function asSecretOwner(key: AccessKey): SecretOwner {
  return {
    kind: 'access_key',
    id: key.id,
    prefix: 'ktk_',
    pepper: 'access-key-pepper',
    reveal: key.reveal,
    target: key.id,
    targetType: 'access_key',
    clientId: null,
    enabled: key.enabled,
    revision: key.revision,
    tokenEpoch: key.tokenEpoch,
    save: async (transaction, change, at) => {
      const tokenEpoch = change.tokens === 'revoke' ? newTokenEpoch() : key.tokenEpoch;
      await saveAccessKey(transaction, { ...key, tokenEpoch }, at);
    },
  };
}

/** Returns the locked access key as the owner of its values. @throws {NotFound} */
export async function requireAccessKeyOwner(transaction: Transaction, id: string): Promise<SecretOwner> {
  const key = await lockAccessKey(transaction, id);
  if (!key) throw new NotFound('access key');
  return asSecretOwner(key);
}
