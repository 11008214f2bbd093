import { hash } from 'node:crypto';

/** Returns the `jti` of an opaque token: its SHA-256, which does not reveal the token. */
export function tokenId(token: string): string {
  return hash('sha256', token, 'base64url');
}
