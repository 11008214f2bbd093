import { constants, type KeyObject, sign, verify } from 'node:crypto';

/**
 * Signatures of JWS in compact form (RFC 7515) by Node's key objects, which take half of the time of Web Crypto. Only the
 * signature is computed or checked; header and claims are left to the caller.
 */

export type JwsAlgorithm = 'ES256' | 'EdDSA' | 'Ed25519' | 'PS256' | 'RS256';

const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
const integerBytes = 32;

/** Returns a JWS: the signing input (RFC 7515 §2) with its signature. */
export function signJws(alg: JwsAlgorithm, key: KeyObject, input: string): string {
  return `${input}.${signatureOf(alg, key, Buffer.from(input, 'latin1')).toString('base64url')}`;
}

function signatureOf(alg: JwsAlgorithm, key: KeyObject, data: Buffer): Buffer {
  switch (alg) {
    case 'ES256':
      // With the option `dsaEncoding`, Node 24 exports and imports the key for each signature, which takes as long again.
      return toP1363(sign('sha256', data, key));
    case 'EdDSA':
    case 'Ed25519':
      return sign(null, data, key);
    case 'RS256':
      return sign('sha256', data, key);
    case 'PS256':
      return sign('sha256', data, { key, ...pss });
  }
}

/**
 * Returns whether a key has signed a JWS in compact form.
 * @param key of the type that the algorithm needs.
 */
export function isSignedWith(alg: JwsAlgorithm, key: KeyObject, jws: string): boolean {
  const end = jws.lastIndexOf('.');
  const data = Buffer.from(jws.slice(0, Math.max(end, 0)), 'latin1');
  const signature = Buffer.from(jws.slice(end + 1), 'base64url');
  switch (alg) {
    case 'ES256':
      return signature.length === 2 * integerBytes && verify('sha256', data, key, toDer(signature));
    case 'EdDSA':
    case 'Ed25519':
      return verify(null, data, key, signature);
    case 'RS256':
      return verify('sha256', data, key, signature);
    case 'PS256':
      return signature.length === modulusBytes(key) && verify('sha256', data, { key, ...pss }, signature);
  }
}

/** The length of a signature with an RSA key. With PSS, OpenSSL accepts signatures whose leading zeros are omitted. */
function modulusBytes(key: KeyObject): number {
  return Math.ceil((key.asymmetricKeyDetails?.modulusLength ?? 0) / 8);
}

/**
 * Converts an ECDSA signature on P-256 from DER (RFC 3279 §2.2.3) to the form of JWS (RFC 7518 §3.4): both integers in
 * 32 bytes each. DER omits leading zeros, and adds one before a high bit.
 */
function toP1363(der: Buffer): Buffer {
  const signature = Buffer.alloc(2 * integerBytes);
  // Skip the tag and length of the sequence, then read tag, length and bytes of each integer.
  let at = 2;
  for (const end of [integerBytes, 2 * integerBytes]) {
    const next = at + 2 + (der[at + 1] as number);
    der.copy(
      signature,
      Math.max(end - integerBytes, end - (next - at - 2)),
      Math.max(at + 2, next - integerBytes),
      next,
    );
    at = next;
  }
  return signature;
}

/** Reverses `toP1363`. */
function toDer(signature: Buffer): Buffer {
  const der = Buffer.alloc(2 + 2 * (3 + integerBytes));
  let at = 2;
  for (const start of [0, integerBytes]) {
    const end = start + integerBytes;
    let from = start;
    while (from < end - 1 && signature[from] === 0) from += 1;
    const isPadded = (signature[from] as number) > 127;
    der[at] = 2;
    der[at + 1] = end - from + (isPadded ? 1 : 0);
    at += isPadded ? 3 : 2;
    at += signature.copy(der, at, from, end);
  }
  der[0] = 0x30;
  der[1] = at - 2;
  return der.subarray(0, at);
}
