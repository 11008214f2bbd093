import { asSecretOwner as asAccessKeyOwner, lockAccessKey } from '../access-keys/access-key-store.ts';
import { asSecretOwner } from '../clients/client-secret-owner.ts';
import { lockClientById } from '../clients/client-store.ts';
import type { Transaction } from '../storage/database.ts';
import type { OwnerRef, SecretOwner } from './secret-owner.ts';

/** Locks any owner of secrets until the transaction ends. Returns undefined if it does not exist. */
export async function lockSecretOwner(transaction: Transaction, ref: OwnerRef): Promise<SecretOwner | undefined> {
  if (ref.kind === 'access_key') {
    const key = await lockAccessKey(transaction, ref.id);
    return key && asAccessKeyOwner(key);
  }
  const client = await lockClientById(transaction, ref.id);
  return client && asSecretOwner(client);
}
