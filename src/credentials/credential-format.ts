import { randomFillSync } from 'node:crypto';

/** The public prefixes by which leaked secrets are recognized. */
export type SecretPrefix = 'kts_' | 'ktk_' | 'kta_' | 'kto_';

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const prefixLength = 4;
const bodyLength = 43;
const checksumLength = 6;
const payloadLength = prefixLength + bodyLength;
const secretLength = payloadLength + checksumLength;
const clientIdPattern = /^kti_[0-9A-Za-z]{22}$/;

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
  if (value.length !== secretLength || !value.startsWith(prefix)) return false;
  for (let index = prefixLength; index < payloadLength; index++) if (digitAt(value, index) === noDigit) return false;
  let stated = 0;
  for (let index = payloadLength; index < secretLength; index++) {
    const digit = digitAt(value, index);
    if (digit === noDigit) return false;
    stated = stated * alphabet.length + digit;
  }
  return stated === crc32(value, payloadLength);
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
  let rest = crc32(text, text.length);
  let digits = '';
  for (let index = 0; index < checksumLength; index++) {
    digits = alphabet.charAt(rest % 62) + digits;
    rest = Math.floor(rest / 62);
  }
  return digits;
}

const noDigit = 255;
/** The value of each base62 digit by its character code. */
const digitValues = new Uint8Array(128).fill(noDigit);
for (const [value, character] of [...alphabet].entries()) digitValues[character.charCodeAt(0)] = value;

function digitAt(text: string, index: number): number {
  return digitValues[text.charCodeAt(index)] ?? noDigit;
}

/** The CRC-32 of each byte. */
const crcTable = new Int32Array(256);
for (let byte = 0; byte < 256; byte++) {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  crcTable[byte] = crc;
}

/** Returns the CRC-32 of the first characters of an ASCII string. `zlib.crc32` needs as long for the call alone. */
function crc32(text: string, length: number): number {
  let crc = -1;
  for (let index = 0; index < length; index++) {
    crc = (crcTable[(crc ^ text.charCodeAt(index)) & 255] as number) ^ (crc >>> 8);
  }
  return ~crc >>> 0;
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
    if (byte < 248) written[index++] = digitCodes[byte % 62] as number;
  }
  const text = written.toString('latin1', 0, length);
  written.fill(0);
  return text;
}

const digitCodes = Buffer.from(alphabet);
