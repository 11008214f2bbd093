import { createHmac, timingSafeEqual } from 'node:crypto';
import type { KeyPurpose, KeyRing } from './key-ring.ts';

/**
 * Values that the server gives away and recognises when they return, such as cursors and announcements in Redis:
 * `version.payload.mac`, where version is that of the root key, and mac is HMAC-SHA-256 (RFC 2104) with a key that is
 * derived for one purpose. The payload is readable and must not be secret.
 */

/** The purposes of derived keys that sign values. */
type SigningPurpose = Extract<KeyPurpose, 'confirmation' | 'cursor' | 'announcement' | 'unsubscribe'>;

/**
 * Signs a payload.
 * @param context what else the MAC covers. It is not part of the value; whoever reads the value must know it.
 * @param payload text without dots.
 */
export function signValue(ring: KeyRing, purpose: SigningPurpose, context: string, payload: string): string {
  return `${ring.current}.${payload}.${macOf(ring, purpose, ring.current, context, payload)}`;
}

/**
 * Returns the payload of a value, or undefined if it was not signed for this purpose and context, or by a version of
 * the root key that is not in the ring.
 */
export function readSignedValue(
  ring: KeyRing,
  purpose: SigningPurpose,
  context: string,
  value: string,
): string | undefined {
  const [version = '', payload = '', mac = '', ...rest] = value.split('.');
  const expected = macOf(ring, purpose, version, context, payload);
  // Compare the text, because decoding would accept several spellings of one MAC.
  const isOurs = expected !== undefined && isSameMac(Buffer.from(expected), Buffer.from(mac));
  return rest.length === 0 && isOurs ? payload : undefined;
}

/**
 * Returns functions that sign and read texts of any characters for one purpose. Both take what else the MAC covers, as in
 * `signValue`.
 */
export function createTextSigner(ring: KeyRing, purpose: SigningPurpose) {
  return {
    sign: (context: string, text: string): string =>
      signValue(ring, purpose, context, Buffer.from(text).toString('base64url')),
    read: (context: string, value: string): string | undefined => {
      const payload = readSignedValue(ring, purpose, context, value);
      return payload === undefined ? undefined : Buffer.from(payload, 'base64url').toString();
    },
  };
}

/** Compares MACs in constant time. @param expected undefined if its key is not known; nothing equals it then. */
export function isSameMac(expected: Uint8Array | undefined, actual: Uint8Array): boolean {
  return expected !== undefined && expected.length === actual.length && timingSafeEqual(expected, actual);
}

function macOf(ring: KeyRing, purpose: SigningPurpose, version: string, context: string, payload: string) {
  const key = ring.key(purpose, version);
  // JSON keeps the parts apart, so that no part can continue in another.
  const signed = JSON.stringify([context, version, payload]);
  return key && createHmac('sha256', key).update(signed).digest('base64url');
}
