import { hkdfSync } from 'node:crypto';
import { UsageError } from '../errors.ts';

/** The purpose of a derived key. Each purpose has its own key, so that one key reveals nothing about another. */
export type KeyPurpose =
  | 'client-secret-pepper'
  | 'access-key-pepper'
  | 'operator-token-pepper'
  | 'sealing'
  | 'audit-chain'
  | 'confirmation'
  | 'cursor'
  | 'dpop-nonce'
  | 'token-record'
  | 'announcement'
  | 'unsubscribe';

export type KeyRing = {
  /** The version that new values are made with, for example `v2`. */
  readonly current: string;
  /** All versions that can still be read, the current one first. */
  readonly versions: readonly string[];
  /** Returns the 32-byte key for a purpose, or undefined if that version is not in the ring. */
  key(purpose: KeyPurpose, version: string): Buffer | undefined;
};

const minimumBytes = 32;

/**
 * Reads `KEYTURN_ROOT_KEY`, `v2:base64,v1:base64`: the first version is used for new values, the others only to read.
 * @throws {UsageError}
 */
export function createKeyRing(rootKey: string): KeyRing {
  const roots = new Map<string, Buffer>();
  for (const item of rootKey.split(',').map((part) => part.trim())) {
    const [, version, encoded] = /^([A-Za-z0-9]{1,16}):([A-Za-z0-9+/_-]+={0,2})$/.exec(item) ?? [];
    if (!version || !encoded)
      throw new UsageError('KEYTURN_ROOT_KEY must be version:base64, or several of them separated by commas');
    const key = Buffer.from(encoded, 'base64');
    if (key.length < minimumBytes) throw new UsageError(`KEYTURN_ROOT_KEY ${version} must have at least 32 bytes`);
    // Check the current version only: after a rotation away from a weak key, values of that key must still be readable.
    if (roots.size === 0 && isTrivial(key)) {
      throw new UsageError(
        `KEYTURN_ROOT_KEY ${version} is not random: its bytes repeat or count up. Generate one with \`keyturn root-key generate\``,
      );
    }
    if (roots.has(version)) throw new UsageError(`KEYTURN_ROOT_KEY contains ${version} twice`);
    roots.set(version, key);
  }
  const versions = [...roots.keys()];
  const derived = new Map<string, Buffer>();
  return {
    current: versions[0] as string,
    versions,
    key(purpose, version) {
      const name = `${version}/${purpose}`;
      const known = derived.get(name);
      const root = roots.get(version);
      if (known || !root) return known;
      const key = deriveKey(root, `keyturn/${purpose}`);
      derived.set(name, key);
      return key;
    },
  };
}

/**
 * Returns whether a key is a placeholder: a short repeated string, bytes that count up or down, or few different bytes.
 * Sixteen bytes twice are accepted: they may be a random 128-bit key, and existing deployments must start.
 */
function isTrivial(key: Buffer): boolean {
  const repeatsAfter = (period: number) => key.every((byte, index) => index < period || byte === key[index - period]);
  const periods = Array.from({ length: minimumBytes / 2 - 1 }, (_, index) => index + 1);
  const step = ((key[1] ?? 0) - (key[0] ?? 0) + 256) % 256;
  const counts = key.every((byte, index) => index === 0 || (byte - (key[index - 1] ?? 0) + 256) % 256 === step);
  // 32 random bytes have about 30 different values; fewer than 10 never happen by chance.
  return counts || new Set(key).size < 10 || periods.some(repeatsAfter);
}

/** HKDF-SHA-256 (RFC 5869) without salt; the purpose is the `info`. */
export function deriveKey(root: Uint8Array, info: string): Buffer {
  return Buffer.from(hkdfSync('sha256', root, new Uint8Array(0), info, 32));
}
