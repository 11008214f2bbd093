import { isIP } from 'node:net';
import { InvalidInput } from '../errors.ts';
import { type CertificateSubject, requireUsableSubject } from './certificate-subject.ts';
import type { AuthMethod, Client } from './client.ts';
import { type ClientJwks, requireUsableJwks } from './client-jwks.ts';
import { isPublicAddress } from './public-address.ts';
import { readRegisteredCertificate } from './registered-certificate.ts';
import { readVerificationKey } from './verification-key.ts';

/** The members of a registration that define how a client authenticates (RFC 7591 §2, RFC 8705 §2.1.2). */
export type GivenKeys = {
  jwks?: ClientJwks | undefined;
  jwksUri?: string | undefined;
  certificateSubject?: CertificateSubject | undefined;
};

type RegisteredKeys = Pick<Client, 'jwks' | 'jwksUri' | 'certificateSubject'>;

const names = { jwks: '`jwks`', jwksUri: '`jwks_uri`', certificateSubject: 'a `tls_client_auth_…` member' } as const;

/** Characters of a URI (RFC 3986 §2) without a fragment. */
const uriCharacters = /^[\w\-.~:/?[\]@!$&'()*+,;=%]+$/;

/** The members of which each method requires exactly one. */
const takenBy: Record<AuthMethod, readonly (keyof GivenKeys)[]> = {
  client_secret_basic: [],
  client_secret_post: [],
  private_key_jwt: ['jwks', 'jwksUri'],
  tls_client_auth: ['certificateSubject'],
  self_signed_tls_client_auth: ['jwks'],
};

/**
 * Returns the keys to register.
 * @throws {InvalidInput} unless the usable members that the method requires are given, and no others (RFC 7591 §2:
 * never both `jwks` and `jwks_uri`).
 */
export function registerKeys(authMethod: AuthMethod, given: GivenKeys): RegisteredKeys {
  const { jwks, jwksUri, certificateSubject } = given;
  const taken = takenBy[authMethod];
  const present = (Object.keys(names) as (keyof GivenKeys)[]).filter((name) => given[name] !== undefined);
  for (const name of present) {
    if (!taken.includes(name)) throw new InvalidInput(`A client with \`${authMethod}\` cannot have ${names[name]}.`);
  }
  if (taken.length > 0 && present.length !== 1) {
    throw new InvalidInput(`\`${authMethod}\` needs ${taken.map((name) => names[name]).join(' or ')}, and one alone.`);
  }
  if (jwks) requireUsableJwks(jwks, authMethod === 'private_key_jwt' ? readVerificationKey : readRegisteredCertificate);
  if (jwksUri !== undefined) requirePublicUrl(jwksUri);
  if (certificateSubject) requireUsableSubject(certificateSubject);
  return { jwks: jwks ?? null, jwksUri: jwksUri ?? null, certificateSubject: certificateSubject ?? null };
}

/** Returns the registration after a change: new keys replace all previous ones. @throws {InvalidInput} */
export function replaceKeys(client: Client, given: GivenKeys): RegisteredKeys {
  const { jwks, jwksUri, certificateSubject } = client;
  const isGiven = given.jwks !== undefined || given.jwksUri !== undefined || given.certificateSubject !== undefined;
  return isGiven ? registerKeys(client.authMethod, given) : { jwks, jwksUri, certificateSubject };
}

/**
 * Requires an https URL with a public host, written in the characters of RFC 3986: the URL parser drops other
 * characters, so the fetched URL would differ from the stored one. The address of a host name is checked at each
 * connection.
 */
function requirePublicUrl(uri: string): void {
  const url = URL.canParse(uri) ? new URL(uri) : undefined;
  const host = url?.hostname.replace(/^\[|\]$/g, '') ?? '';
  const isUsable =
    url?.protocol === 'https:' &&
    !url.username &&
    !url.password &&
    !url.hash &&
    uri.length <= 2_000 &&
    uriCharacters.test(uri);
  if (!isUsable || (isIP(host) && !isPublicAddress(host)) || /(^|\.)localhost\.?$/.test(host)) {
    throw new InvalidInput('`jwks_uri` must be an https URL of a public address.');
  }
}
