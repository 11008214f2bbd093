import { randomUUID } from 'node:crypto';
import { type Actor, appendAuditEvent } from '../audit/audit-log.ts';
import { Conflict } from '../errors.ts';
import { insertRegeneration } from '../regeneration/regeneration-store.ts';
import { makeHashedSecret } from '../secrets/hashed-secrets.ts';
import { makeSecret } from '../secrets/manage-secrets.ts';
import { insertSecrets } from '../secrets/secret-store.ts';
import { recordChanges } from '../storage/change.ts';
import { type Transaction, unlessTaken } from '../storage/database.ts';
import { type Client, isSecretMethod } from './client.ts';
import { auditView } from './client-row.ts';
import { asSecretOwner, insertClients } from './client-store.ts';
import { importedClient } from './foreign-client.ts';
import type { ImportedSecret } from './imported-secret.ts';
import type { ManageDeps } from './manage-clients.ts';
import type { AcceptedClient } from './review-import.ts';

/**
 * Registers clients in one transaction, with one audit event each. Imported secrets are stored like generated ones.
 * @returns the generated secrets by Client ID.
 * @throws {Conflict} `client_id_taken` if a Client ID or secret was registered in the meantime.
 */
export async function importClients(
  transaction: Transaction,
  deps: ManageDeps,
  actor: Actor,
  accepted: readonly AcceptedClient[],
  organizationId: string,
): Promise<ReadonlyMap<string, string>> {
  const at = new Date(deps.clock());
  const clients = accepted.map((one) => ({ ...one, client: importedClient(one.row, at, deps, organizationId) }));
  const taken = () =>
    new Conflict('client_id_taken', 'One of these clients was registered by someone else in the meantime.');
  await unlessTaken(
    insertClients(
      transaction,
      clients.map(({ client }) => client),
    ),
    taken,
  );
  const made = clients.filter(({ client }) => isSecretMethod(client.authMethod)).map((one) => secretsOf(deps, one));
  await unlessTaken(
    insertSecrets(
      transaction,
      made.flatMap(({ owner, secrets }) =>
        secrets.map(({ plaintext: _plaintext, ...secret }) => ({ ...secret, owner })),
      ),
    ),
    taken,
  );
  for (const { owner, secrets } of made) {
    const [oldSecret, newSecret] = secrets;
    if (!oldSecret || !newSecret) continue;
    // Give the secret that was rotated on the other server a grace period, which can be ended or undone as usual.
    await insertRegeneration(transaction, owner, {
      id: randomUUID(),
      oldSecret,
      newSecret,
      finishWhenUnused: false,
      revokeTokens: false,
      createdAt: at,
      createdBy: actor.name,
    });
  }
  await recordChanges(
    transaction,
    [
      ...clients.map(({ client }) => ({ kind: 'client' as const, target: client.clientId })),
      { kind: 'foreign_client_ids', target: 'all' },
    ],
    at,
  );
  for (const { client, kept, previous } of clients) {
    await appendAuditEvent(transaction, {
      at,
      actor,
      action: 'client.import',
      targetType: 'client',
      target: client.clientId,
      after: {
        ...auditView(client),
        secret: kept === undefined ? 'new' : 'hash' in kept ? 'hashed' : 'kept',
        ...(previous ? { previous_secret_retires_at: previous.endsAt } : {}),
      },
    });
  }
  const fresh = made.filter(({ isKept }) => !isKept);
  return new Map(fresh.map(({ owner, secrets }) => [owner.target, secrets.at(-1)?.plaintext ?? '']));
}

/**
 * Returns the secrets of a client, oldest first: the previous secret of the other server, if any, and the current one.
 */
function secretsOf(deps: ManageDeps, { client, kept, previous }: AcceptedClient & { client: Client }) {
  const owner = asSecretOwner(client);
  const make = (generation: number, imported: ImportedSecret | undefined) =>
    imported && 'hash' in imported
      ? { ...makeHashedSecret(deps, owner, generation, imported.hash), plaintext: '' }
      : makeSecret(deps, owner, generation, imported?.secret);
  const retiring = previous && { ...make(1, previous), retiresAt: previous.endsAt };
  const current = make(retiring ? 2 : 1, kept);
  return { owner, isKept: kept !== undefined, secrets: retiring ? [retiring, current] : [current] };
}
