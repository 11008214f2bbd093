import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { KeyRing } from './key-ring.ts';

/**
 * The place where a sealed copy is stored. Table and row id are authenticated (AAD), so a copy that was moved to
 * another row cannot be opened.
 */
export type SealedPlace = { table: string; id: string };

/**
 * Seals a value that may be revealed later: AES-256-GCM (NIST SP 800-38D) with its own data key, which is encrypted the
 * same way with a key derived from the root key. Format: `version.wrappedKey.value`, each part base64url of nonce,
 * ciphertext and tag.
 */
export function seal(ring: KeyRing, place: SealedPlace, plaintext: string): string {
  const version = ring.current;
  const aad = additionalData(place, version);
  const dataKey = randomBytes(32);
  const wrapped = encrypt(wrappingKey(ring, version), dataKey, aad);
  const value = encrypt(dataKey, Buffer.from(plaintext, 'utf8'), aad);
  return `${version}.${wrapped.toString('base64url')}.${value.toString('base64url')}`;
}

/** Opens a sealed copy. @throws if it was changed, belongs to another row, or its root key is not in the ring. */
export function unseal(ring: KeyRing, place: SealedPlace, sealed: string): string {
  const [version = '', wrapped = '', value = ''] = sealed.split('.');
  const aad = additionalData(place, version);
  const dataKey = decrypt(wrappingKey(ring, version), Buffer.from(wrapped, 'base64url'), aad);
  return decrypt(dataKey, Buffer.from(value, 'base64url'), aad).toString('utf8');
}

const nonceLength = 12;
const tagLength = 16;

/**
 * Returns nonce, ciphertext and tag. The nonce is random, which is safe because a data key seals one value, and a
 * wrapping key far fewer than 2^32.
 */
function encrypt(key: Uint8Array, plaintext: Uint8Array, aad: Uint8Array): Buffer {
  const nonce = randomBytes(nonceLength);
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: tagLength }).setAAD(aad);
  return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

export function decrypt(key: Uint8Array, sealed: Uint8Array, aad: Uint8Array): Buffer {
  const nonce = sealed.subarray(0, nonceLength);
  const tag = sealed.subarray(sealed.length - tagLength);
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagLength })
    .setAAD(aad)
    .setAuthTag(tag);
  return Buffer.concat([decipher.update(sealed.subarray(nonceLength, sealed.length - tagLength)), decipher.final()]);
}

function wrappingKey(ring: KeyRing, version: string): Buffer {
  const key = ring.key('sealing', version);
  if (!key) throw new Error(`no root key of version ${version}`);
  return key;
}

function additionalData({ table, id }: SealedPlace, version: string): Buffer {
  return Buffer.from(JSON.stringify([table, id, version]), 'utf8');
}
