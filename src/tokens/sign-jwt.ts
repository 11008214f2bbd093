import { constants, sign } from 'node:crypto';
import type { SigningAlgorithm } from '../config.ts';
import type { SigningKey } from './signing-keys.ts';

/**
 * Signs claims as a JWT of the given `typ`, synchronously. Cost of a signature on one core in µs, here, in the thread
 * pool, and with Web Crypto (bench/signing.ts): ES256 34, 42, 29; EdDSA 29, 36, 23; RS256 222, 224, 217; PS256 221,
 * 227, 217. The alternatives save little, and several cores are used by several processes (KEYTURN_WORKERS). RSA blocks
 * the event loop for a quarter of a millisecond per signature; the default is ES256.
 * @param typ the kind of JWT (RFC 8725 §3.11), so that a JWT cannot be used as another kind.
 */
export function signJwt(key: SigningKey, typ: string, claims: object): string {
  const header = encode({ alg: key.alg, typ, kid: key.kid });
  const input = `${header}.${encode(claims)}`;
  return `${input}.${signInput(key, input).toString('base64url')}`;
}

function signInput({ alg, privateKey }: SigningKey, input: string): Buffer {
  const data = Buffer.from(input);
  const algorithms: Record<SigningAlgorithm, () => Buffer> = {
    ES256: () => sign('sha256', data, { key: privateKey, dsaEncoding: 'ieee-p1363' }),
    EdDSA: () => sign(null, data, privateKey),
    RS256: () => sign('sha256', data, privateKey),
    PS256: () => sign('sha256', data, { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }),
  };
  return algorithms[alg]();
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
