import { NotFound } from '../errors.ts';
import type { SecretOwner } from '../secrets/secret-owner.ts';
import type { Transaction } from '../storage/database.ts';
import { asSecretOwner } from './client-secret-owner.ts';
import { lockClient } from './client-store.ts';

/** Finds a client by any of its Client IDs and returns it, locked, as the owner of its secrets. @throws {NotFound} */
export async function requireClientOwner(transaction: Transaction, clientId: string): Promise<SecretOwner> {
  const client = await lockClient(transaction, clientId);
  if (!client) throw new NotFound('client');
  return asSecretOwner(client);
}
