import { randomUUID } from 'node:crypto';
import {
  CompactSign,
  exportJWK,
  generateKeyPair,
  type CryptoKey as JoseKey,
  type JWK,
  type JWTHeaderParameters,
} from 'jose';
import type { AuthMethod, ClientKind } from '../../src/clients/client.ts';
import { type GivenKeys, registerKeys } from '../../src/clients/client-rules.ts';
import { type NewClient, registerClient } from '../../src/clients/manage-clients.ts';
import type { Core } from '../../src/core.ts';
import { actor } from './fixture.ts';
import { type Answer, post } from './http-client.ts';

export type SigningPair = { alg: string; privateKey: JoseKey; publicJwk: JWK };

export async function makePair(alg = 'ES256'): Promise<SigningPair> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { alg, privateKey, publicJwk: await exportJWK(publicKey) };
}

type KeylessInput = Omit<NewClient, 'name' | 'authMethod' | 'kind'> & { kind?: ClientKind };

/** Registers a client that authenticates without a secret. */
export async function registerWithoutSecret(
  core: Core,
  authMethod: AuthMethod,
  keys: GivenKeys,
  { kind = 'integration', ...rest }: KeylessInput = {},
): Promise<string> {
  const authentication = { authMethod, ...registerKeys(authMethod, keys, core) };
  const { clientId } = await core.change((transaction) =>
    registerClient(transaction, core, actor, { name: 'Keyed', kind, ...rest }, authentication),
  );
  return clientId;
}

/** Registers a client with public keys or their URL, and without a secret. */
export function registerKeyClient(
  core: Core,
  keys: { jwks?: { keys: object[] }; jwksUri?: string },
  input: KeylessInput = {},
): Promise<string> {
  return registerWithoutSecret(core, 'private_key_jwt', keys as GivenKeys, input);
}

export type AssertionChange = { claims?: Record<string, unknown>; header?: Partial<JWTHeaderParameters> };

/** Makes a valid assertion with the given changes. A claim that is undefined is omitted. */
export async function makeAssertion(
  { alg, privateKey }: Pick<SigningPair, 'alg' | 'privateKey'>,
  clientId: string,
  issuer: string,
  { claims = {}, header = {} }: AssertionChange = {},
): Promise<string> {
  const now = Math.floor(Date.now() / 1_000);
  const right = { iss: clientId, sub: clientId, aud: issuer, iat: now, exp: now + 60, jti: randomUUID() };
  const payload = Buffer.from(JSON.stringify({ ...right, ...claims }));
  return await new CompactSign(payload).setProtectedHeader({ alg, ...header }).sign(privateKey);
}

export const jwtBearer = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

export function postAssertion(
  url: string,
  assertion: string,
  form: Record<string, string> = {},
  headers: Record<string, string> = {},
): Promise<Answer> {
  const authentication = { client_assertion_type: jwtBearer, client_assertion: assertion };
  return post(url, { grant_type: 'client_credentials', ...authentication, ...form }, { headers });
}

export type ProofChange = { claims?: Record<string, unknown>; header?: Record<string, unknown> };

/** Makes a valid DPoP proof (RFC 9449 §4.2) for a POST with the given changes. A claim that is undefined is omitted. */
export async function makeDpopProof(
  { alg, privateKey, publicJwk }: SigningPair,
  { htu, nonce }: { htu: string; nonce: string | undefined },
  { claims = {}, header = {} }: ProofChange = {},
): Promise<string> {
  const now = Math.floor(Date.now() / 1_000);
  const payload = { jti: randomUUID(), htm: 'POST', htu, iat: now, nonce, ...claims };
  return await new CompactSign(Buffer.from(JSON.stringify(payload)))
    .setProtectedHeader({ alg, typ: 'dpop+jwt', jwk: publicJwk, ...header })
    .sign(privateKey);
}
