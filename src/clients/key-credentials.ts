import {
  isOfSecret,
  type KeyName,
  keysOfRegistration,
  type Registration,
  storeRegistration,
} from '../credentials/registration.ts';
import { currentOf, isKeyCredential, isLive, refusalOfSecret, type Secret } from '../credentials/secret.ts';
import type { ClientKeyRecord } from '../usage/client-key-store.ts';
import { type Client, isSecretMethod, type KnownClient } from './client.ts';

/** Keys or a certificate that a client authenticates with, or did. */
export type KeyCredential = {
  registration: Registration;
  /** Undefined for those that the client was first registered with, which have no row until they are replaced. */
  secret: Secret | undefined;
};

/**
 * Returns why a credential is not accepted, or undefined if it is.
 * @param clientId the Client ID that was presented; each credential is valid with one Client ID only.
 */
export function refusalOfCredential(
  { secret }: Pick<KeyCredential, 'secret'>,
  clientId: string,
  now: number,
): string | undefined {
  if (!secret) return undefined;
  return refusalOfSecret(secret, now) ?? (secret.clientId === clientId ? undefined : 'wrong_client_id');
}

/**
 * Returns why a client that presents one of its secrets is rejected, or undefined if it is accepted.
 * @param secret the one that matches, or undefined if none does.
 */
export function refusalOfClientSecret(client: Client, secret: Secret | undefined, now: number): string | undefined {
  if (!secret) return isSecretMethod(client.authMethod) ? 'wrong_secret' : 'wrong_method';
  return refusalOfSecret(secret, now) ?? (client.enabled ? undefined : 'client_disabled');
}

/** Maximum number of ended credentials that a rejected key or certificate is compared with, to say that it has ended. */
const maxEnded = 5;

/**
 * Returns the keys and certificates of a client: those that are accepted now with the current ones first, then the
 * latest ended ones, so that the use of an ended one can be told from the use of an unknown one.
 */
export function keyCredentialsOf({ client, secrets }: KnownClient, now: number): readonly KeyCredential[] {
  const current = currentOf(secrets);
  const all: KeyCredential[] = [];
  const registration = currentRegistrationOf(client, secrets);
  if (!isOfSecret(registration)) all.push({ registration, secret: current });
  const earlier = secrets.filter((secret) => secret !== current && isKeyCredential(secret));
  for (const secret of [
    ...earlier.filter((each) => isLive(each, now)),
    ...earlier.filter((each) => !isLive(each, now)).slice(0, maxEnded),
  ]) {
    if (secret.registration) all.push({ registration: secret.registration, secret });
  }
  return all;
}

/**
 * Sorts credentials for one Client ID: those that are accepted with it first, and those of another Client ID last. The
 * first one that a key or certificate matches decides, and the same key may be part of several credentials.
 */
export function usableFirst(credentials: readonly KeyCredential[], clientId: string, now: number): KeyCredential[] {
  const rankOf = (credential: KeyCredential) => {
    const refusal = refusalOfCredential(credential, clientId, now);
    return refusal === undefined ? 0 : refusal === 'wrong_client_id' ? 2 : 1;
  };
  return credentials.toSorted((one, other) => rankOf(one) - rankOf(other));
}

/**
 * Returns how a client is registered with its current credential, whether or not that has a row. This is its own
 * registration, unless the previous version of the program undid a rotation: that does not restore it.
 */
function currentRegistrationOf(client: KnownClient['client'], secrets: readonly Secret[]): Registration {
  const restored = currentOf(secrets)?.registration;
  const [newest] = secrets;
  if (!restored || newest?.endedAs !== 'undone' || !newest.registration) return client;
  const textOf = (registration: Registration) => JSON.stringify(storeRegistration(registration));
  const own = textOf(client);
  return own === textOf(newest.registration) && own !== textOf(restored) ? restored : client;
}

/** A key or certificate of a client, for people. */
export type ListedKey = KeyName &
  Pick<ClientKeyRecord, 'publishedAt' | 'leftAt' | 'firstUsedAt' | 'lastUsedAt'> & {
    /**
     * `current` and `retiring` are accepted; `left` is no longer published at its URL; `ended` belongs to a credential
     * that has ended.
     */
    status: 'current' | 'retiring' | 'left' | 'ended';
    /** When it was last refused because it is no longer published; null if it was not. */
    usedAfterLeavingAt: Date | null;
  };

/**
 * Lists the keys and certificates that a client is registered with, those that are or were published at its URL, and
 * those that were used.
 */
export function listKeys(known: KnownClient, records: readonly ClientKeyRecord[], now: number): readonly ListedKey[] {
  const live = keyCredentialsOf(known, now).filter(
    ({ secret }) => refusalOfCredential({ secret }, secret?.clientId ?? '', now) === undefined,
  );
  const listed: ListedKey[] = [];
  const seen = new Set<string>();
  const recordOf = new Map(records.map((record) => [record.thumbprint, record]));
  const list = (key: KeyName, status: ListedKey['status']) => {
    if (seen.has(key.thumbprint)) return;
    seen.add(key.thumbprint);
    const record = recordOf.get(key.thumbprint);
    const { publishedAt = null, leftAt = null, firstUsedAt = null, lastUsedAt = null, refusedAt = null } = record ?? {};
    const usedAfterLeavingAt = leftAt && refusedAt && refusedAt > leftAt ? refusedAt : null;
    const { kind, kid, thumbprint } = key;
    listed.push({ kind, kid, thumbprint, status, publishedAt, leftAt, firstUsedAt, lastUsedAt, usedAfterLeavingAt });
  };
  for (const { registration, secret } of live) {
    const status = secret?.retiresAt ? 'retiring' : 'current';
    for (const key of keysOfRegistration(registration)) list(key, status);
    for (const record of records) {
      const isPublished = record.jwksUri !== null && record.jwksUri === registration.jwksUri;
      const isNamed = registration.certificateSubject !== null && record.generation === (secret?.generation ?? 0);
      if (isPublished) list(record, record.leftAt ? 'left' : status);
      else if (isNamed && record.kind === 'certificate') list(record, status);
      else if (registration.authMethod === 'workload_identity' && record.kind === 'trust') list(record, status);
    }
  }
  for (const record of records) list(record, 'ended');
  return listed;
}
