import { constants, sign } from 'node:crypto';
import type { SigningAlgorithm } from '../config.ts';
import type { SigningKey } from './signing-keys.ts';

/**
 * Signs claims as a JWT of the given `typ`, inline: a signature of ES256 costs less than handing it to another thread.
 * @param typ what it is (RFC 8725 §3.11), so that no JWT of ours is taken for another kind.
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
