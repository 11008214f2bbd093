import { InvalidInput } from '../errors.ts';
import { findUnstorableText } from '../text/read-text.ts';
import { readVerificationKey, type VerificationKey } from './verification-key.ts';

/** A client's public keys as it registered them (RFC 7591 §2 `jwks`). */
export type ClientJwks = { readonly keys: readonly Record<string, unknown>[] };

const maxKeys = 10;
const maxCharacters = 16 * 1024;

/** Caches imported keys by registration object, which is replaced when the registration changes. */
const imported = new WeakMap<ClientJwks, readonly VerificationKey[]>();

/**
 * Checks public keys before they are registered, so that an unusable key fails at registration and not at the first
 * token request.
 * @param read returns a key, or the reason why it cannot be used.
 * @throws {InvalidInput} unless every key can be used.
 */
export function requireUsableJwks(jwks: ClientJwks, read: (jwk: unknown) => object | string): void {
  const { keys } = jwks;
  if (keys.length === 0 || keys.length > maxKeys) throw new InvalidInput(`\`jwks\` must have 1 to ${maxKeys} keys.`);
  const path = findUnstorableText(jwks);
  if (path)
    throw new InvalidInput(
      `${['jwks', ...path].join('.')}: a member has a NUL character, a lone surrogate or too many levels.`,
    );
  if (JSON.stringify(jwks).length > maxCharacters) throw new InvalidInput('`jwks` is too large.');
  for (const [index, jwk] of keys.entries()) {
    const key = read(jwk);
    if (typeof key === 'string') throw new InvalidInput(`The key jwks.keys[${index}] ${key}.`);
  }
  const kids = keys.flatMap(({ kid }) => kid ?? []);
  if (new Set(kids).size < kids.length) throw new InvalidInput('Two keys of `jwks` have the same kid.');
}

/** Returns the registered keys, imported once. */
export function importJwks(jwks: ClientJwks): readonly VerificationKey[] {
  let keys = imported.get(jwks);
  if (!keys) {
    keys = usableKeys(jwks.keys);
    imported.set(jwks, keys);
  }
  return keys;
}

/**
 * Returns the first usable keys, at most ten. A published document may contain more kinds of keys than are accepted
 * here, so unusable ones do not count.
 */
export function usableKeys(keys: readonly unknown[]): VerificationKey[] {
  const usable: VerificationKey[] = [];
  for (const jwk of keys) {
    const key = readVerificationKey(jwk);
    if (typeof key !== 'string') usable.push(key);
    if (usable.length === maxKeys) break;
  }
  return usable;
}
