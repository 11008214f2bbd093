import type { SecretOwner } from '../secrets/secret-owner.ts';
import { type Client, withoutTokens } from './client.ts';
import { addClientId, saveClient } from './client-store.ts';

/** Presents a locked client as an owner of secrets. */
export function asSecretOwner(client: Client): SecretOwner {
  return {
    kind: 'client',
    id: client.id,
    prefix: 'kts_',
    pepper: 'client-secret-pepper',
    reveal: client.reveal,
    target: client.clientId,
    targetType: 'client',
    clientId: client.clientId,
    enabled: client.enabled,
    revision: client.revision,
    tokenEpoch: client.tokenEpoch,
    save: async (transaction, change, at) => {
      const clientId = change.clientId ?? client.clientId;
      if (clientId !== client.clientId) await addClientId(transaction, client, clientId);
      const changed = change.tokens === 'revoke' ? withoutTokens(client, at.getTime()) : client;
      await saveClient(transaction, { ...changed, clientId }, at);
    },
  };
}
