import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';

/**
 * What a client or a proof may be signed with: FAPI 2.0 Security Profile §5.4.1. No HMAC, whose key would be a shared secret, and no
 * RSASSA-PKCS1-v1_5. Ed25519 is EdDSA by its newer name (RFC 9864).
 */
export const verificationAlgorithms = ['ES256', 'EdDSA', 'Ed25519', 'PS256'] as const;

type VerificationAlgorithm = (typeof verificationAlgorithms)[number];

/** A public key of somebody else, imported, with what it is good for: one algorithm, by each of its names. */
export type VerificationKey = { kid: string | undefined; algs: readonly VerificationAlgorithm[]; key: KeyObject };

/** What makes a JWK a private or a symmetric key (RFC 7518 §6). */
const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'];
const publicMembers = ['kty', 'crv', 'x', 'y', 'n', 'e'];

/**
 * Imports a public JWK (RFC 7517).
 * @returns why it cannot be used, as a text that ends the sentence "The key …".
 */
export function readVerificationKey(jwk: unknown): VerificationKey | string {
  if (typeof jwk !== 'object' || jwk === null || Array.isArray(jwk)) return 'is not an object';
  const members = jwk as Record<string, unknown>;
  if (privateMembers.some((name) => Object.hasOwn(members, name))) return 'is private or symmetric';
  const { kid, use, key_ops: operations } = members;
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > 256)) return 'has an unusable kid';
  if (use !== undefined && use !== 'sig') return 'is not for signatures';
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify')))
    return 'is not for signatures';
  const key = importKey(members);
  if (!key) return 'is malformed';
  const possible = algorithmsOf(key);
  if (possible.length === 0)
    return `is of a kind or size that is not allowed; ${verificationAlgorithms.join(', ')} are`;
  const algs = members['alg'] === undefined ? possible : possible.filter((alg) => alg === members['alg']);
  if (algs.length === 0) return `has another alg than ${possible.join(' or ')}`;
  return { kid, algs, key };
}

function importKey(members: Record<string, unknown>): KeyObject | undefined {
  // Nothing but the key itself reaches the parser.
  const given = publicMembers.filter((name) => Object.hasOwn(members, name)).map((name) => [name, members[name]]);
  if (given.some(([, value]) => typeof value !== 'string')) return undefined;
  try {
    return createPublicKey({ key: Object.fromEntries(given) as JsonWebKey, format: 'jwk' });
  } catch {
    return undefined;
  }
}

function algorithmsOf(key: KeyObject): VerificationAlgorithm[] {
  const { namedCurve, modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'ec':
      return namedCurve === 'prime256v1' ? ['ES256'] : [];
    case 'ed25519':
      return ['EdDSA', 'Ed25519'];
    case 'rsa':
      // Under 2,048 bits it is weak (FAPI 2.0 §5.4.1); far above, each check of a signature is work that a stranger can ask for.
      return modulusLength >= 2_048 && modulusLength <= 8_192 && publicExponent >= 65_537n && publicExponent < 2n ** 32n
        ? ['PS256']
        : [];
    default:
      return [];
  }
}
