import { randomFillSync } from 'node:crypto';
import { crc32 } from 'node:zlib';

/** The public contract's prefixes: what leaked text is recognised by. */
export type SecretPrefix = 'kts_' | 'ktk_' | 'kta_' | 'kto_';

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const bodyLength = 43;
const checksumLength = 6;
const secretLength = 4 + bodyLength + checksumLength;
const clientIdPattern = /^kti_[0-9A-Za-z]{22}$/;
const secretPattern = /^kt[skao]_[0-9A-Za-z]{49}$/;

/** A new secret value: prefix, 43 base62 characters from the system's random source (256 bits), and their CRC-32 as 6 more. */
export function generateSecret(prefix: SecretPrefix): string {
  const payload = prefix + randomBase62(bodyLength);
  return payload + checksum(payload);
}

/** A new public Client ID: `kti_` and 22 base62 characters (131 bits). */
export function generateClientId(): string {
  return `kti_${randomBase62(22)}`;
}

/** Whether a value can be one of ours at all. Costs no store anything. */
export function isWellFormedSecret(value: string, prefix: SecretPrefix): boolean {
  if (value.length !== secretLength || !value.startsWith(prefix) || !secretPattern.test(value)) return false;
  return checksum(value.slice(0, -checksumLength)) === value.slice(-checksumLength);
}

export function isWellFormedClientId(value: string): boolean {
  return value.length === 26 && clientIdPattern.test(value);
}

/** What a list may show of a secret: its last four characters. */
export function hintOf(secret: string): string {
  return secret.slice(-4);
}

/** CRC-32 (IEEE 802.3) of the ASCII text in base62, most significant digit first, padded to six. */
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

/** Uniform: bytes of 248 and more are thrown away, so no character is likelier than another. The pool is wiped as it is used. */
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
