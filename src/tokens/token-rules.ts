import type { KeyRefusal } from '../access-keys/access-key.ts';
import type { AccessKeyCache } from '../access-keys/access-key-cache.ts';
import type { Client } from '../clients/client.ts';
import type { ClientCache } from '../clients/client-cache.ts';
import { tokenLifetimes } from '../clients/client-details.ts';
import type { Clock, ClockCheck } from '../process/clock.ts';
import type { ChangeFeed } from '../storage/change.ts';
import type { Revocations } from './revocation.ts';
import type { SigningKeys } from './signing-keys.ts';
import type { Confirmation } from './token-record.ts';
import type { NearTokenStore } from './token-store.ts';

export type TokenDeps = {
  clients: ClientCache;
  accessKeys: AccessKeyCache;
  tokenStore: NearTokenStore;
  revocations: Revocations;
  feed: Pick<ChangeFeed, 'sync' | 'requireNotOld'>;
  clock: Clock;
  clockCheck: ClockCheck;
  signingKeys: SigningKeys;
  issuer: string;
  /** Whether access keys that stand alone are accepted. */
  standaloneKeys: boolean;
  /** The lifetime of tokens for which neither client nor resource server has one. */
  ttlSeconds: number;
  /** Until when processes of the previous version may read new tokens, in milliseconds since the epoch. */
  previousVersionUntil: number;
};

/** Why a token is not live, or not at a resource server. */
export type TokenRefusal =
  | KeyRefusal
  | 'unknown_token'
  | 'expired_token'
  | 'revoked_token'
  | 'deleted_client'
  | 'client_disabled'
  | 'client_tokens_revoked'
  | 'not_bound'
  | 'undone_secret'
  | 'removed_access_key'
  | 'access_key_tokens_revoked'
  | 'undone_access_key_value'
  | 'retired_secret'
  | 'other_network'
  | 'actor_disabled'
  | 'presented_access_key'
  | 'other_resource'
  | 'no_scope_left';

/**
 * Returns the longest lifetime in seconds of any token that may be live. Published keys keep it until the last token from
 * before a reduction has expired.
 */
export function longestLifetime({ signingKeys, ttlSeconds }: Pick<TokenDeps, 'signingKeys' | 'ttlSeconds'>): number {
  const keys = signingKeys.peekAll();
  return keys ? Math.max(ttlSeconds, ...keys.map(({ tokenSeconds }) => tokenSeconds ?? 0)) : tokenLifetimes.max;
}

/** Returns whether a token is bound to everything that its client's tokens must be bound to (RFC 8705 §3, RFC 9449 §5.2). */
export function isBoundAsRequired(
  { certificateBoundTokens, dpopBoundTokens }: Client,
  confirmation: Confirmation | undefined,
): boolean {
  if (dpopBoundTokens && confirmation?.jkt === undefined) return false;
  return !certificateBoundTokens || confirmation?.['x5t#S256'] !== undefined;
}
