import { isOfSecret, type Registration } from '../credentials/registration.ts';
import { currentOf, isKeyCredential, isLive, type Secret } from '../credentials/secret.ts';
import type { KnownClient } from './client.ts';

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
  if (secret.endedAs === 'undone') return 'undone_secret';
  if (!isLive(secret, now)) return 'retired_secret';
  return secret.clientId === clientId ? undefined : 'wrong_client_id';
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
  // The client's own registration is the current credential, whether or not that has a row.
  if (!isOfSecret(client)) all.push({ registration: client, secret: current });
  const earlier = secrets.filter((secret) => secret !== current && isKeyCredential(secret));
  for (const secret of [
    ...earlier.filter((each) => isLive(each, now)),
    ...earlier.filter((each) => !isLive(each, now)).slice(0, maxEnded),
  ]) {
    if (secret.registration) all.push({ registration: secret.registration, secret });
  }
  return all;
}
