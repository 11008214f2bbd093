import { isIP } from 'node:net';
import { InvalidInput } from '../errors.ts';
import { type Client, hasSecrets } from './client.ts';
import { type ClientJwks, requireUsableJwks } from './client-jwks.ts';
import { isPublicAddress } from './public-address.ts';

/** What of a registration says where a client's public keys are (RFC 7591 §2). */
export type GivenKeys = { jwks?: ClientJwks | undefined; jwksUri?: string | undefined };

type RegisteredKeys = Pick<Client, 'jwks' | 'jwksUri'>;

/** @throws {InvalidInput} unless there is one usable set of keys, or one URL of it (RFC 7591 §2: never both). */
export function registerKeys({ jwks, jwksUri }: GivenKeys): RegisteredKeys {
  if (jwks === undefined && jwksUri === undefined)
    throw new InvalidInput('This `auth_method` needs `jwks` or `jwks_uri`.');
  if (jwks !== undefined && jwksUri !== undefined) throw new InvalidInput('`jwks` and `jwks_uri` exclude each other.');
  if (jwks) requireUsableJwks(jwks);
  if (jwksUri !== undefined) requirePublicUrl(jwksUri);
  return { jwks: jwks ?? null, jwksUri: jwksUri ?? null };
}

/** The keys after a change: new ones take the place of the earlier ones, wherever those were. @throws {InvalidInput} */
export function replaceKeys(client: Client, given: GivenKeys): RegisteredKeys {
  if (given.jwks === undefined && given.jwksUri === undefined) return { jwks: client.jwks, jwksUri: client.jwksUri };
  requireNoKeys(hasSecrets(client), given);
  return registerKeys(given);
}

/** @throws {InvalidInput} when there are keys for a client that authenticates with a secret. */
export function requireNoKeys(hasSecret: boolean, { jwks, jwksUri }: GivenKeys): void {
  if (hasSecret && (jwks !== undefined || jwksUri !== undefined)) {
    throw new InvalidInput('Only a client that authenticates with keys has `jwks` or `jwks_uri`.');
  }
}

/** What a name leads to is looked at when it is connected to. */
function requirePublicUrl(uri: string): void {
  const url = URL.canParse(uri) ? new URL(uri) : undefined;
  const host = url?.hostname.replace(/^\[|\]$/g, '') ?? '';
  const isUsable = url?.protocol === 'https:' && !url.username && !url.password && !url.hash && uri.length <= 2_000;
  if (!isUsable || (isIP(host) && !isPublicAddress(host)) || /(^|\.)localhost\.?$/.test(host)) {
    throw new InvalidInput('`jwks_uri` must be an https URL of a public address.');
  }
}
