import type { KeyObject } from 'node:crypto';
import { readPublicJwk } from './public-jwk.ts';

/**
 * Accepted signature algorithms of clients and proofs (FAPI 2.0 Security Profile §5.4.1). HMAC is excluded because its
 * key would be a shared secret, and RSASSA-PKCS1-v1_5 by FAPI. Ed25519 is the newer name of EdDSA (RFC 9864).
 */
export const verificationAlgorithms = ['ES256', 'EdDSA', 'Ed25519', 'PS256'] as const;

type VerificationAlgorithm = (typeof verificationAlgorithms)[number];

/** An imported public key with the names of the one algorithm that it is used with. */
export type VerificationKey = { kid: string | undefined; algs: readonly VerificationAlgorithm[]; key: KeyObject };

/**
 * Reads a public JWK (RFC 7517) for checking signatures.
 * @returns the key, or the reason why it cannot be used, as the end of a sentence that begins with "The key".
 */
export function readVerificationKey(jwk: unknown): VerificationKey | string {
  const read = readPublicJwk(jwk);
  if (typeof read === 'string') return read;
  const { key, members } = read;
  const { kid, use, key_ops: operations } = members;
  if (use !== undefined && use !== 'sig') return 'is not for signatures';
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify')))
    return 'is not for signatures';
  const possible = algorithmsOf(key);
  if (possible.length === 0)
    return `is of a kind or size that is not allowed; ${verificationAlgorithms.join(', ')} are`;
  const algs = members['alg'] === undefined ? possible : possible.filter((alg) => alg === members['alg']);
  if (algs.length === 0) return `has another alg than ${possible.join(' or ')}`;
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
        ? ['PS256']
        : [];
    default:
      return [];
  }
}
