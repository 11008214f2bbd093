import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';

/** Members that make a JWK a private or a symmetric key (RFC 7518 §6). */
const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'];
const publicMembers = ['kty', 'crv', 'x', 'y', 'n', 'e'];

/**
 * Imports a public JWK (RFC 7517).
 * @returns the key, or the reason why it cannot be imported, as the end of a sentence that begins with "The key".
 */
export function readPublicJwk(jwk: unknown): { key: KeyObject; members: Record<string, unknown> } | string {
  if (typeof jwk !== 'object' || jwk === null || Array.isArray(jwk)) return 'is not an object';
  const members = jwk as Record<string, unknown>;
  if (privateMembers.some((name) => Object.hasOwn(members, name))) return 'is private or symmetric';
  const { kid } = members;
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > 256)) return 'has an unusable kid';
  const key = importKey(members);
  return key ? { key, members } : 'is malformed';
}

function importKey(members: Record<string, unknown>): KeyObject | undefined {
  // Pass only the members of the key itself to the parser.
  const given = publicMembers.filter((name) => Object.hasOwn(members, name)).map((name) => [name, members[name]]);
  if (given.some(([, value]) => typeof value !== 'string')) return undefined;
  try {
    return createPublicKey({ key: Object.fromEntries(given) as JsonWebKey, format: 'jwk' });
  } catch {
    return undefined;
  }
}
