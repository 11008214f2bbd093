import { hash } from 'node:crypto';

/**
 * Returns HMAC-SHA-256 (RFC 2104) with this key of at most 64 bytes. `createHmac` sets up OpenSSL objects for each text,
 * which takes longer than hashing a short one.
 */
export function hmacSha256(key: Uint8Array): (text: string) => Buffer {
  const blockBytes = 64;
  const inner = Buffer.alloc(blockBytes, 0x36);
  const outer = Buffer.alloc(blockBytes + 32, 0x5c);
  for (const [index, byte] of key.entries()) {
    inner[index] = byte ^ 0x36;
    outer[index] = byte ^ 0x5c;
  }
  return (text) => {
    const message = Buffer.allocUnsafe(blockBytes + Buffer.byteLength(text));
    inner.copy(message);
    message.write(text, blockBytes);
    outer.write(hash('sha256', message, 'hex'), blockBytes, 'hex');
    return Buffer.from(hash('sha256', outer, 'hex'), 'hex');
  };
}
