import { hash } from 'node:crypto';
import { type Actor, appendAuditEvent } from '../audit/audit-log.ts';
import { isOfSecret, type Registration } from '../credentials/registration.ts';
import { unseal } from '../credentials/sealed-copy.ts';
import { currentOf, retiringOf, type Secret } from '../credentials/secret.ts';
import { Conflict, InvalidInput, KeyturnError } from '../errors.ts';
import { undoRegeneration } from '../regeneration/end-regeneration.ts';
import { regenerateSecret } from '../regeneration/regenerate-secret.ts';
import { followProgress, type RegenerationProgress } from '../regeneration/regeneration-progress.ts';
import {
  findRegenerationOf,
  findRequested,
  requireRegeneration,
  type StoredRequest,
  saveRequest,
} from '../regeneration/regeneration-store.ts';
import type { ReviewDeps } from '../regeneration/review.ts';
import { findSealedSecret, findSecrets, type SecretOwner } from '../secrets/secret-store.ts';
import type { Transaction } from '../storage/database.ts';
import type { Client } from './client.ts';
import type { KeyDeps } from './client-rules.ts';
import { asSecretOwner, lockClientById } from './client-store.ts';
import { refusalOfCredential } from './key-credentials.ts';
import { type GivenReplacement, readReplacement } from './replacement.ts';

/** The limits of a grace period that a client chooses itself, in seconds. A client cannot end its credential at once. */
export const ownGracePeriods = { min: 3_600, max: 2_592_000 } as const;

/** A request of a client to rotate the credential that it authenticates with. */
export type OwnRotationRequest = {
  /**
   * The Idempotency-Key. A caller that sends it again with the previous credential receives the new secret, so it must
   * not be predictable.
   */
  key: string;
  overlapSeconds: number | undefined;
  finishWhenUnused: boolean;
  /** The next keys or certificates of a client without a secret. */
  replace: Pick<GivenReplacement, 'jwks' | 'certificate'> | undefined;
};

/** The authenticated client, and the credential that it presented: undefined for its first keys or certificate. */
type Caller = { client: Pick<Client, 'id'>; clientId: string; secret: Pick<Secret, 'id'> | undefined; address: string };

export type OwnRotation = RegenerationProgress & {
  /** The Client ID of the new credential. */
  clientId: string;
  /** The new secret; undefined if the client has none, or if it cannot be shown any more. */
  plaintext: string | undefined;
};

type Deps = ReviewDeps & KeyDeps;

/** How long a secret of which no copy is kept is not replaced, after its answer may have been lost. */
const replaceableAfterMs = 600_000;

/**
 * Rotates the credential of a client at its own request. The same key and parameters return the same rotation and, during
 * the grace period, the same secret.
 *
 * Only the current credential can rotate. Otherwise somebody who has stolen an earlier one could obtain a new one. While
 * programs use the previous credential, no further rotation is made, because it would end what they use.
 * @throws {KeyturnError} 401 `invalid_client` if the credential has just ended; `unauthorized_client` if the client may
 * not rotate, or not with this credential; 422 `idempotency_key_reused`.
 * @throws {Conflict} `rotation_in_progress` if programs have not moved yet.
 * @throws {InvalidInput} if the keys or certificates cannot replace the current ones.
 */
export async function rotateOwnCredential(
  transaction: Transaction,
  deps: Deps,
  caller: Caller,
  request: OwnRotationRequest,
): Promise<OwnRotation> {
  const now = deps.clock();
  const client = await lockClientById(transaction, caller.client.id);
  if (!client?.enabled) throw invalidClient();
  if (!client.selfRotation) {
    throw unauthorized('This client may not rotate its own credential. An operator can allow it.');
  }
  const owner = asSecretOwner(client);
  const actor: Actor = { id: client.clientId, name: client.name, address: caller.address };
  const secrets = await findSecrets(transaction, owner);
  const presented = caller.secret && secrets.find(({ id }) => id === caller.secret?.id);
  if (caller.secret && !presented) throw invalidClient();
  if (refusalOfCredential({ secret: presented }, caller.clientId, now)) throw invalidClient();

  const isCurrent = presented ? presented.id === currentOf(secrets)?.id : currentOf(secrets) === undefined;
  const requestKey = digest(request.key);
  const requestHash = digest(JSON.stringify([request.overlapSeconds, request.finishWhenUnused, request.replace]));
  const earlier = await findRequested(transaction, client.id, requestKey);
  if (earlier) {
    if (!earlier.requestHash.equals(requestHash)) {
      throw new KeyturnError(
        'idempotency_key_reused',
        422,
        'This Idempotency-Key was already used for a different request. Send a new key.',
      );
    }
    return await repeat(transaction, deps, actor, owner, earlier.id, { requestKey, requestHash });
  }

  if (!isCurrent) {
    throw unauthorized(
      'Only the current credential can rotate. This one was replaced. To repeat a rotation, send its Idempotency-Key.',
    );
  }
  await requireAllMoved(transaction, deps, owner, secrets);
  const replace = replacementFor(client, request.replace, deps);
  const { regenerationId, plaintext } = await regenerateSecret(transaction, deps, actor, owner, {
    confirmation: undefined,
    isConfirmed: true,
    overlapSeconds: request.overlapSeconds,
    finishWhenUnused: request.finishWhenUnused,
    replace,
  });
  await saveRequest(transaction, regenerationId, { requestKey, requestHash });
  return { ...(await progressOf(transaction, deps, owner, regenerationId)), plaintext };
}

/** Answers a repeated request, which may come from another instance, or because the first answer was lost. */
async function repeat(
  transaction: Transaction,
  deps: Deps,
  actor: Actor,
  owner: SecretOwner,
  regenerationId: string,
  request: StoredRequest,
): Promise<OwnRotation> {
  const rotation = await progressOf(transaction, deps, owner, regenerationId);
  const { newSecret } = rotation.regeneration;
  const isOver = rotation.state !== 'overlapping';
  if (isOver || (newSecret.registration && !isOfSecret(newSecret.registration))) {
    return { ...rotation, plaintext: undefined };
  }
  const sealed = deps.reveal ? await findSealedSecret(transaction, newSecret.id) : null;
  if (sealed === null) return await replaceUnused(transaction, deps, actor, owner, rotation, request);
  await appendAuditEvent(transaction, {
    at: new Date(deps.clock()),
    actor,
    action: 'secret.show_again',
    targetType: owner.targetType,
    target: owner.target,
  });
  return { ...rotation, plaintext: unseal(deps.keyRing, { table: 'secrets', id: newSecret.id }, sealed) };
}

/**
 * Replaces a new secret whose answer was lost and of which no copy is kept, so that the client is not locked out at the
 * end of the grace period. A secret that a program uses is not replaced, because that program has received it.
 */
async function replaceUnused(
  transaction: Transaction,
  deps: Deps,
  actor: Actor,
  owner: SecretOwner,
  rotation: RegenerationProgress & { clientId: string },
  request: StoredRequest,
): Promise<OwnRotation> {
  const { regeneration, usingNew } = rotation;
  if (usingNew.length > 0) return { ...rotation, plaintext: undefined };
  const now = deps.clock();
  if (now - regeneration.createdAt.getTime() < replaceableAfterMs) {
    throw new Conflict(
      'answer_not_kept',
      'No copy of the new secret is kept. If its answer was lost, repeat the request ten minutes after the first one: it then replaces the new secret, unless a program has used it.',
    );
  }
  const retiresAt = regeneration.oldSecret.retiresAt as Date;
  await undoRegeneration(transaction, deps, actor, owner, regeneration.id);
  await saveRequest(transaction, regeneration.id, undefined);
  const client = (await lockClientById(transaction, owner.id)) as Client;
  const again = asSecretOwner(client);
  const { regenerationId, plaintext } = await regenerateSecret(transaction, deps, actor, again, {
    confirmation: undefined,
    isConfirmed: true,
    overlapSeconds: Math.max(1, Math.round((retiresAt.getTime() - now) / 1_000)),
    finishWhenUnused: regeneration.finishWhenUnused,
  });
  await saveRequest(transaction, regenerationId, request);
  return { ...(await progressOf(transaction, deps, again, regenerationId)), plaintext };
}

async function progressOf(
  transaction: Transaction,
  deps: Deps,
  owner: SecretOwner,
  regenerationId: string,
): Promise<RegenerationProgress & { clientId: string }> {
  const regeneration = await requireRegeneration(transaction, owner, regenerationId);
  const [progress] = await followProgress(transaction, deps, owner, [regeneration]);
  return { ...(progress as RegenerationProgress), clientId: regeneration.newSecret.clientId ?? owner.target };
}

/** Checks that a running grace period can end, which another rotation would do. @throws {Conflict} */
async function requireAllMoved(
  transaction: Transaction,
  deps: Deps,
  owner: SecretOwner,
  secrets: readonly Secret[],
): Promise<void> {
  const retiring = retiringOf(secrets, deps.clock());
  if (!retiring) return;
  const regeneration = await findRegenerationOf(transaction, retiring.id);
  const [progress] = regeneration ? await followProgress(transaction, deps, owner, [regeneration]) : [];
  if (progress && progress.usingNew.length > 0 && progress.stillUsingOld.length === 0) return;
  throw new Conflict(
    'rotation_in_progress',
    `The previous credential works until ${retiring.retiresAt?.toISOString()}, and not every program has moved to this one. Rotate again after that.`,
  );
}

/** @throws {InvalidInput} unless the request has what the client's way of authentication needs, and nothing else. */
function replacementFor(client: Client, given: OwnRotationRequest['replace'], deps: KeyDeps): Registration | undefined {
  if (isOfSecret(client)) {
    if (given) throw new InvalidInput('This client authenticates with a secret. Omit `jwks` and `certificate`.');
    return undefined;
  }
  if (!client.jwks) {
    throw new InvalidInput(
      client.jwksUri === null
        ? 'Any certificate with the registered subject is accepted. Use the next one; nothing needs to be rotated here.'
        : 'The keys of this client are at its `jwks_uri`. Publish the next one there; nothing needs to be rotated here.',
    );
  }
  if (!given) throw new InvalidInput('Send the next keys as `jwks`, or the next certificates as `certificate`.');
  const replacement = readReplacement(client, given, deps);
  if (replacement.authMethod === client.authMethod) return replacement;
  throw new InvalidInput(`This client authenticates with ${client.authMethod}, which only an operator can change.`);
}

function digest(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}

/** Returns the error of the authentication itself, because the credential has ended since then. */
function invalidClient(): KeyturnError {
  return new KeyturnError('invalid_client', 401, 'Client authentication failed.');
}

function unauthorized(message: string): KeyturnError {
  return new KeyturnError('unauthorized_client', 400, message);
}
