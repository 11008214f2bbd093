import { createPublicKey, X509Certificate } from 'node:crypto';
import { lettersOf } from './clients-file.ts';

/** Members of a client in the names of its server. */
export type Members = Record<string, unknown>;

export const privateKeyJwt = { token_endpoint_auth_method: 'private_key_jwt' };

/** Splits members into those of these names, without case and punctuation, and all others. */
export function take<Name extends string>(
  client: Members,
  ...names: Name[]
): { [one in Name]?: unknown } & { rest: Members } {
  const taken: Record<string, unknown> = {};
  const rest: Members = {};
  for (const [name, member] of Object.entries(client)) {
    const letters = lettersOf(name);
    if ((names as string[]).includes(letters)) taken[letters] = member;
    else rest[name] = member;
  }
  return { ...(taken as { [one in Name]?: unknown }), rest };
}

/** Returns public keys in PEM, or those of certificates in base64, as a JWK set. A key that cannot be read is malformed. */
export function keysOf(given: readonly Members[]): Members {
  return {
    keys: given.map(({ key, certificate, key_id: kid, use, algorithm: alg }) => {
      const more = { ...(kid ? { kid } : {}), ...(use ? { use } : {}), ...(alg ? { alg } : {}) };
      try {
        const read =
          typeof certificate === 'string'
            ? new X509Certificate(Buffer.from(certificate, 'base64')).publicKey
            : createPublicKey(String(key));
        return { ...read.export({ format: 'jwk' }), ...more };
      } catch {
        return { kty: 'unreadable', ...more };
      }
    }),
  };
}

export function inside(value: unknown, name: string): Members {
  const inner = isMembers(value) ? value[name] : undefined;
  return isMembers(inner) ? inner : {};
}

export function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

export function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
