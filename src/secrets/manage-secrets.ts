import { randomBytes, randomUUID } from 'node:crypto';
import { type Actor, appendAuditEvent } from '../audit/audit-log.ts';
import type { KeyRing } from '../credentials/key-ring.ts';
import { isOfSecret, nameOfRegistration, type Registration } from '../credentials/registration.ts';
import { unseal } from '../credentials/sealed-copy.ts';
import { currentOf, isKeyCredential, isLive, issueSecret, type Secret } from '../credentials/secret.ts';
import { Conflict } from '../errors.ts';
import type { Clock } from '../process/clock.ts';
import type { Transaction } from '../storage/database.ts';
import { findSealedSecret, findSecrets, insertSecret, type SecretOwner } from './secret-store.ts';

/** Dependencies for creating a secret. */
export type SecretDeps = {
  keyRing: KeyRing;
  clock: Clock;
  /** False if this deployment keeps no sealed copies at all. */
  reveal: boolean;
};

/** Creates and stores another secret of an owner. Only the result contains the plaintext. */
export async function addSecret(
  transaction: Transaction,
  deps: SecretDeps,
  owner: SecretOwner,
  generation: number,
  registration: Registration | null = null,
): Promise<{ secret: Secret; plaintext: string }> {
  const { plaintext, ...secret } = { ...makeSecret(deps, owner, generation), registration };
  await insertSecret(transaction, owner, secret);
  const { sealed: _sealed, ...stored } = secret;
  return { secret: stored, plaintext };
}

/** Creates a secret that the caller stores. @param given the plaintext of an imported secret. */
export function makeSecret(
  deps: SecretDeps,
  owner: SecretOwner,
  generation: number,
  given?: string,
): Secret & { sealed: string | null; plaintext: string } {
  const id = randomUUID();
  const keepSealed = deps.reveal && owner.reveal;
  const place = keepSealed ? { table: 'secrets', id } : null;
  return {
    id,
    clientId: owner.clientId,
    generation,
    ...issueSecret(deps.keyRing, owner.prefix, owner.pepper, place, given),
    createdAt: new Date(deps.clock()),
    retiresAt: null,
    endedAs: null,
    registration: null,
    hash: null,
  };
}

/** Returns registered keys or a certificate as a credential that the caller stores. */
export function makeKeyCredential(
  { clock }: Pick<SecretDeps, 'clock'>,
  { clientId }: Pick<SecretOwner, 'clientId'>,
  generation: number,
  registration: Registration,
): Secret {
  const hint = nameOfRegistration(registration);
  return { ...makeUnmatchable(clientId, generation, clock()), hint, registration, hash: null };
}

/** Returns the members of a credential that no presented secret matches. */
export function makeUnmatchable(clientId: string | null, generation: number, now: number) {
  return {
    id: randomUUID(),
    clientId,
    generation,
    // The version is not one of a root key.
    verifier: randomBytes(32),
    keyVersion: '',
    createdAt: new Date(now),
    retiresAt: null,
    endedAs: null,
  };
}

/**
 * Returns the current credential of a locked owner. Keys or a certificate that a client was first registered with have
 * no row until they are replaced; they are returned as the credential that is then stored. It has the id of the client,
 * so that its end can be repeated if the database loses the row.
 * @param secrets newest first.
 * @param isReplaced whether it is replaced by what the request contains, and not by a new secret.
 * @throws {Conflict} `no_secret` if there is none, or if it is not a secret and nothing is given in its place.
 */
export function requireCurrent(
  owner: SecretOwner,
  secrets: readonly Secret[],
  { isReplaced }: { isReplaced: boolean },
  now: number,
): Secret {
  const current = currentOf(secrets) ?? firstKeyCredential(owner, now);
  if (!current) throw new Conflict('no_secret', 'There is no secret to regenerate.');
  if (isKeyCredential(current) && !isReplaced) {
    throw new Conflict(
      'no_secret',
      'This client authenticates without a secret. Send `replace` with its new keys, certificate or way of authentication.',
    );
  }
  return current;
}

/**
 * Returns the keys or the certificate that a client was registered with as its first credential, of generation 0, which
 * has no row until it is replaced. Returns undefined for a client with a secret and for an access key.
 */
export function firstKeyCredential(
  owner: Pick<SecretOwner, 'id' | 'clientId' | 'registration'>,
  createdAt: number,
): Secret | undefined {
  const { id, registration } = owner;
  if (!registration || isOfSecret(registration)) return undefined;
  return { ...makeKeyCredential({ clock: () => createdAt }, owner, 0, registration), id };
}

/** Opens the sealed copy of an owner's current secret. The audit event is committed before the secret is shown. */
export async function revealSecret(
  transaction: Transaction,
  deps: SecretDeps,
  actor: Actor,
  owner: SecretOwner,
): Promise<string> {
  const at = new Date(deps.clock());
  const current = (await findSecrets(transaction, owner)).find((secret) => isLive(secret, at.getTime()));
  const sealed = current && (await findSealedSecret(transaction, current.id));
  if (!current || !sealed || !deps.reveal) {
    throw new Conflict('not_revealable', 'No copy of this secret is stored, so it cannot be shown again.');
  }
  await appendAuditEvent(transaction, {
    at,
    actor,
    action: owner.kind === 'client' ? 'client.reveal_secret' : 'access_key.reveal',
    targetType: owner.targetType,
    target: owner.target,
    after: { hint: current.hint },
  });
  return unseal(deps.keyRing, { table: 'secrets', id: current.id }, sealed);
}
