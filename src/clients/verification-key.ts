import { createPublicKey, generateKeyPairSync, type JsonWebKey, type KeyObject, randomBytes } from 'node:crypto';
import type { Dialect, Dialects } from '../configuration/dialects.ts';
import type { JwsAlgorithm } from '../credentials/jws-signature.ts';
import { thumbprintOf } from '../credentials/registration.ts';
import { InvalidInput } from '../errors.ts';
import { findUnstorableText } from '../text/read-text.ts';

/**
 * Accepted signature algorithms of clients and proofs (FAPI 2.0 Security Profile §5.4.1). HMAC is excluded because its
 * key would be a shared secret, and RSASSA-PKCS1-v1_5 by FAPI. Ed25519 is the newer name of EdDSA (RFC 9864).
 */
export const verificationAlgorithms: readonly VerificationAlgorithm[] = ['ES256', 'EdDSA', 'Ed25519', 'PS256'];

export type VerificationAlgorithm = JwsAlgorithm;

const allAlgorithms: readonly VerificationAlgorithm[] = [...verificationAlgorithms, 'RS256'];

/** Returns the accepted algorithms of client assertions. */
export function assertionAlgorithms(dialects: Dialects): readonly VerificationAlgorithm[] {
  return dialects.has('rs256_assertions') ? allAlgorithms : verificationAlgorithms;
}

/** Returns the accepted algorithms of a client's assertions. @param accepted those of all clients of the deployment. */
export function acceptedOf(
  accepted: readonly VerificationAlgorithm[],
  client: { dialects?: readonly Dialect[] | undefined } | undefined,
): readonly VerificationAlgorithm[] {
  return client?.dialects?.includes('rs256_assertions') ? allAlgorithms : accepted;
}

/** An imported public key with the names of the algorithms that it is used with. */
export type VerificationKey = { kid: string | undefined; algs: readonly VerificationAlgorithm[]; key: KeyObject };

/** A key of a client, and what it is recognised by (RFC 7638). */
export type ClientKey = VerificationKey & { thumbprint: string; jwk: Readonly<Record<string, unknown>> };

/**
 * Reads a public JWK (RFC 7517) for checking signatures.
 * @param accepted the accepted algorithms.
 * @returns the key, or the reason why it cannot be used, as the end of a sentence that begins with "The key".
 */
export function readVerificationKey(
  jwk: unknown,
  accepted: readonly VerificationAlgorithm[] = verificationAlgorithms,
): VerificationKey | string {
  const read = readPublicJwk(jwk);
  if (typeof read === 'string') return read;
  const { key, members } = read;
  const { kid, use, key_ops: operations } = members;
  if (use !== undefined && use !== 'sig') return 'is not for signatures';
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify')))
    return 'is not for signatures';
  const possible = algorithmsOf(key).filter((alg) => accepted.includes(alg));
  if (possible.length === 0) return `has an unsupported type or size; supported algorithms are ${accepted.join(', ')}`;
  const algs = members['alg'] === undefined ? possible : possible.filter((alg) => alg === members['alg']);
  if (algs.length === 0) return `must have the alg ${possible.join(' or ')}`;
  return { kid: kid as string | undefined, algs, key };
}

function algorithmsOf(key: KeyObject): VerificationAlgorithm[] {
  const { namedCurve, modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'ec':
      return namedCurve === 'prime256v1' ? ['ES256'] : [];
    case 'ed25519':
      return ['EdDSA', 'Ed25519'];
    case 'rsa':
      // Reject keys below 2,048 bits as weak (FAPI 2.0 §5.4.1), and very large ones, whose checks would be expensive.
      return modulusLength >= 2_048 && modulusLength <= 8_192 && publicExponent >= 65_537n && publicExponent < 2n ** 32n
        ? ['PS256', 'RS256']
        : [];
    default:
      return [];
  }
}

/** Members that make a JWK a private or a symmetric key (RFC 7518 §6). */
const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'];
const publicMembers = ['kty', 'crv', 'x', 'y', 'n', 'e'];

/**
 * Imports a public JWK (RFC 7517).
 * @returns the key, or the reason why it cannot be imported, as the end of a sentence that begins with "The key".
 */
export function readPublicJwk(jwk: unknown): { key: KeyObject; members: Record<string, unknown> } | string {
  if (typeof jwk !== 'object' || jwk === null || Array.isArray(jwk)) return 'is not an object';
  const members = jwk as Record<string, unknown>;
  if (privateMembers.some((name) => Object.hasOwn(members, name))) return 'is private or symmetric';
  const { kid } = members;
  // The kid is stored with the counts of many clients, so one that cannot be stored must not get that far.
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > 256 || findUnstorableText(kid)))
    return 'must have a string of at most 256 characters, without NUL characters and lone surrogates, as kid';
  const key = importKey(members);
  return key ? { key, members } : 'is malformed';
}

function importKey(members: Record<string, unknown>): KeyObject | undefined {
  // Pass only the members of the key itself to the parser.
  const given = publicMembers.filter((name) => Object.hasOwn(members, name)).map((name) => [name, members[name]]);
  if (given.some(([, value]) => typeof value !== 'string')) return undefined;
  try {
    return createPublicKey({ key: Object.fromEntries(given) as JsonWebKey, format: 'jwk' });
  } catch {
    return undefined;
  }
}

/** A client's public keys as it registered them (RFC 7591 §2 `jwks`). */
export type ClientJwks = { readonly keys: readonly Record<string, unknown>[] };

const maxKeys = 10;
const maxCharacters = 16 * 1024;

/**
 * Checks public keys before they are registered, so that an unusable key fails at registration and not at the first
 * token request.
 * @param read returns a key, or the reason why it cannot be used.
 * @throws {InvalidInput} unless every key can be used.
 */
export function requireUsableJwks(jwks: ClientJwks, read: (jwk: unknown) => object | string): void {
  const { keys } = jwks;
  if (keys.length === 0 || keys.length > maxKeys) throw new InvalidInput(`jwks: must contain 1 to ${maxKeys} keys.`);
  const path = findUnstorableText(jwks);
  if (path)
    throw new InvalidInput(
      `${['jwks', ...path].join('.')}: must not contain NUL characters, lone surrogates or too many levels.`,
    );
  if (JSON.stringify(jwks).length > maxCharacters)
    throw new InvalidInput(`jwks: must not exceed ${maxCharacters} characters of JSON.`);
  for (const [index, jwk] of keys.entries()) {
    const key = read(jwk);
    if (typeof key === 'string') throw new InvalidInput(`jwks.keys[${index}]: the key ${key}.`);
  }
  const kids = keys.flatMap(({ kid }) => kid ?? []);
  if (new Set(kids).size < kids.length) throw new InvalidInput('jwks: two keys have the same kid.');
}

/**
 * Returns the first usable keys, by default at most ten. A published document may contain more kinds of keys than are accepted
 * here, so unusable ones do not count.
 */
export function usableKeys(
  keys: readonly unknown[],
  accepted: readonly VerificationAlgorithm[],
  limit = maxKeys,
): ClientKey[] {
  const usable: ClientKey[] = [];
  for (const jwk of keys) {
    const key = readVerificationKey(jwk, accepted);
    if (typeof key !== 'string') {
      const members = jwk as Record<string, unknown>;
      usable.push({ ...key, thumbprint: thumbprintOf(members), jwk: essentialOf(key, members) });
    }
    if (usable.length === limit) break;
  }
  return usable;
}

/** Returns a JWK with nothing but what is needed to check signatures, which is small and can be stored. */
function essentialOf({ key, kid }: VerificationKey, { alg }: Record<string, unknown>): Record<string, unknown> {
  return {
    ...key.export({ format: 'jwk' }),
    ...(kid === undefined ? {} : { kid }),
    ...(alg === undefined ? {} : { alg }),
  };
}

const decoys = new Map<string, readonly VerificationKey[]>();

/**
 * Returns a key without a known private key, to check a signature that has no registered key. The check costs as much
 * as one with a registered key, so that the response time does not reveal whether one exists, nor which client may use
 * RS256. Returns an empty list for an algorithm that no client can use.
 */
export function decoyKeys(alg: unknown): readonly VerificationKey[] {
  if (typeof alg !== 'string' || !allAlgorithms.some((each) => each === alg)) return [];
  let keys = decoys.get(alg);
  if (!keys) {
    const jwk = makeJwk(alg);
    if (!jwk) return [];
    const key = readVerificationKey({ ...jwk, alg }, allAlgorithms);
    keys = typeof key === 'string' ? [] : [key];
    decoys.set(alg, keys);
  }
  return keys;
}

function makeJwk(alg: string): JsonWebKey | undefined {
  switch (alg) {
    case 'ES256':
      return generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' });
    case 'EdDSA':
    case 'Ed25519':
      return generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' });
    case 'PS256':
    case 'RS256': {
      // A random odd number of 2,048 bits, because finding primes would block the event loop.
      const modulus = randomBytes(256);
      modulus[0] = (modulus[0] ?? 0) | 0x80;
      modulus[255] = (modulus[255] ?? 0) | 1;
      return createPublicKey({
        key: { kty: 'RSA', n: modulus.toString('base64url'), e: 'AQAB' },
        format: 'jwk',
      }).export({ format: 'jwk' });
    }
    default:
      return undefined;
  }
}
