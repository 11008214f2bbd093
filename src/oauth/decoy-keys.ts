import { createPublicKey, generateKeyPairSync, type JsonWebKey, randomBytes } from 'node:crypto';
import { readVerificationKey, type VerificationKey } from '../clients/verification-key.ts';

const decoys = new Map<string, readonly VerificationKey[]>();

/**
 * Returns a key without a known private key, to check a signature that has no registered key. The check costs as much
 * as one with a registered key, so that the response time does not reveal whether one exists. Returns an empty list for
 * an algorithm that is not accepted.
 */
export function decoyKeys(alg: unknown): readonly VerificationKey[] {
  if (typeof alg !== 'string') return [];
  let keys = decoys.get(alg);
  if (!keys) {
    const jwk = makeJwk(alg);
    if (!jwk) return [];
    const key = readVerificationKey(jwk);
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
    case 'PS256': {
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
