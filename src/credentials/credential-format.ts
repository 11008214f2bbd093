import { randomFillSync } from 'node:crypto';
import { crc32 } from 'node:zlib';

/** The public prefixes by which leaked secrets are recognized. */
export type SecretPrefix = 'kts_' | 'ktk_' | 'kta_' | 'kto_';

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const bodyLength = 43;
const checksumLength = 6;
const secretLength = 4 + bodyLength + checksumLength;
const clientIdPattern = /^kti_[0-9A-Za-z]{22}$/;
const secretPattern = /^kt[skao]_[0-9A-Za-z]{49}$/;

/**
 * Generates a secret: prefix, 43 base62 characters from the system's random source (256 bits), and 6 characters of
 * CRC-32.
 */
export function generateSecret(prefix: SecretPrefix): string {
  const payload = prefix + randomBase62(bodyLength);
  return payload + checksum(payload);
}

/** Generates a public Client ID: `kti_` and 22 base62 characters (131 bits). */
export function generateClientId(): string {
  return `kti_${randomBase62(22)}`;
}

/** Checks the format and checksum of a value, without querying a store. */
export function isWellFormedSecret(value: string, prefix: SecretPrefix): boolean {
  if (value.length !== secretLength || !value.startsWith(prefix) || !secretPattern.test(value)) return false;
  return checksum(value.slice(0, -checksumLength)) === value.slice(-checksumLength);
}

export function isWellFormedClientId(value: string): boolean {
  return value.length === 26 && clientIdPattern.test(value);
}

/** Returns the part of a secret that lists may show: its last four characters. */
export function hintOf(secret: string): string {
  return secret.slice(-4);
}

/** Returns the CRC-32 (IEEE 802.3) of an ASCII string in base62, most significant digit first, padded to six digits. */
export function checksum(text: string): string {
  let rest = crc32(text);
  let digits = '';
  for (let index = 0; index < checksumLength; index++) {
    digits = alphabet.charAt(rest % 62) + digits;
    rest = Math.floor(rest / 62);
  }
  return digits;
}

const pool = Buffer.alloc(4_096);
let used = pool.length;
const written = Buffer.alloc(bodyLength);

/**
 * Returns uniformly distributed characters: bytes from 248 are rejected, so none is more likely. Used pool bytes are
 * erased.
 */
function randomBase62(length: number): string {
  for (let index = 0; index < length; ) {
    if (used === pool.length) {
      randomFillSync(pool);
      used = 0;
    }
    const byte = pool[used] as number;
    pool[used++] = 0;
    if (byte < 248) written[index++] = alphabet.charCodeAt(byte % 62);
  }
  const text = written.toString('latin1', 0, length);
  written.fill(0);
  return text;
}
