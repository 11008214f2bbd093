import { randomUUID } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, type JWK, SignJWT } from 'jose';
import { CommandEnd } from '../terminal.ts';
import type { Credentials, Started } from './credential-store.ts';

/** The members of the credential and of the one before it, while both work. */
const names = {
  secret: ['client_secret', 'previous_client_secret'],
  key: ['private_key', 'previous_private_key'],
} as const;

/** What a program authenticates with: a secret, or a private key whose public part is registered. */
type CredentialKind = keyof typeof names;

/** @throws {CommandEnd} 2 if the program has neither, or both. */
function kindOf({ client_secret: secret, private_key: key }: Credentials): CredentialKind {
  if (typeof secret === 'string' && key === undefined) return 'secret';
  if (typeof key === 'object' && key !== null && secret === undefined) return 'key';
  throw new CommandEnd(
    2,
    'error: The credential must have client_id, and either client_secret or private_key (a private JWK).',
  );
}

/** Returns the request of a rotation that begins. A key is generated here, so that only its public part is sent. */
export async function begin(credentials: Credentials, overlapSeconds: number): Promise<Started> {
  const started = { idempotency_key: randomUUID(), overlap_seconds: overlapSeconds };
  if (kindOf(credentials) === 'secret') return started;
  const alg = algorithmOf(credentials['private_key'] as JWK);
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  const jwk = { ...(await exportJWK(privateKey)), alg, use: 'sig' };
  return { ...started, next_private_key: { ...jwk, kid: await calculateJwkThumbprint(jwk) } };
}

/** Returns the parameters of the request that say what the next credential is. */
export function nextParameters({ next_private_key: key }: Started): Record<string, string> {
  return key ? { jwks: JSON.stringify({ keys: [publicPart(key)] }) } : {};
}

/** Returns the next credential, or undefined if the answer has none because it was issued before. */
export function nextOf({ next_private_key: key }: Started, answer: { client_secret?: string }): unknown {
  return key ?? answer.client_secret;
}

/** Returns whether this is the credential that the program has. */
export function isCurrent(credentials: Credentials, next: unknown): boolean {
  return JSON.stringify(credentials[names[kindOf(credentials)][0]]) === JSON.stringify(next);
}

/** Puts the next credential in place. The one before is kept until the rotation is over. */
export function withNext(credentials: Credentials, clientId: string, next: unknown): Credentials {
  const [current, previous] = names[kindOf(credentials)];
  return { ...credentials, client_id: clientId, [current]: next, [previous]: credentials[current] };
}

/** Removes the previous credential at the end of a rotation. */
export function withoutPrevious(credentials: Credentials): Credentials {
  const [, previous] = names[kindOf(credentials)];
  const { [previous]: _previous, ...others } = credentials;
  return others as Credentials;
}

/** Puts the previous credential back; undefined if there is none. */
export function withPrevious(credentials: Credentials): Credentials | undefined {
  const [current, previous] = names[kindOf(credentials)];
  const value = credentials[previous];
  return value === undefined ? undefined : { ...withoutPrevious(credentials), [current]: value };
}

/** What authenticates a request: headers and parameters. */
export async function authenticate(
  issuer: string,
  credentials: Credentials,
): Promise<{ headers: Record<string, string>; parameters: Record<string, string> }> {
  const { client_id: id } = credentials;
  if (kindOf(credentials) === 'secret') {
    const pair = [id, String(credentials['client_secret'])].map(encodeURIComponent).join(':');
    return { headers: { Authorization: `Basic ${Buffer.from(pair).toString('base64')}` }, parameters: {} };
  }
  const jwk = credentials['private_key'] as JWK;
  const alg = algorithmOf(jwk);
  const assertion = await new SignJWT()
    .setProtectedHeader({ alg, ...(jwk.kid === undefined ? {} : { kid: jwk.kid }) })
    .setIssuer(id)
    .setSubject(id)
    .setAudience(issuer)
    .setJti(randomUUID())
    .setIssuedAt()
    .setExpirationTime('1m')
    .sign(await importJWK(jwk, alg));
  return {
    headers: {},
    parameters: {
      client_id: id,
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: assertion,
    },
  };
}

/** Returns the algorithm of a key, by its type if it does not name one. */
function algorithmOf({ alg, kty, crv }: JWK): string {
  if (alg !== undefined) return alg;
  const byType: Readonly<Record<string, string>> = { OKP: 'EdDSA', RSA: 'PS256', 'EC P-256': 'ES256' };
  const known = byType[kty ?? ''] ?? byType[`${kty} ${crv}`];
  if (known) return known;
  throw new CommandEnd(2, 'error: private_key needs the member alg.');
}

/** Members of a JWK that are secret (RFC 7518 §6). */
const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'];

function publicPart(jwk: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(jwk).filter(([member]) => !privateMembers.includes(member)));
}
