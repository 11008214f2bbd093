import type { ScopeHistory } from '../clients/client.ts';
import type { Notes } from '../clients/client-details.ts';
import type { Claims } from '../clients/custom-claims.ts';
import { actions, cellOf } from '../clients/declared-scopes.ts';
import type { Secret } from '../credentials/secret.ts';
import type { NetworkLimit } from '../http/allowed-networks.ts';

/** A credential of one contact, which identifies the contact that a client calls for and limits what it may access. */
export type AccessKey = NetworkLimit & {
  id: string;
  contactId: string;
  /** Unique among the keys of the contact. */
  name: string;
  /** The key's permissions as scopes: `kind:action`, or names that a resource server declares. */
  scope: readonly string[];
  scopeVersion: number;
  scopeHistory: ScopeHistory;
  /** Ids of the clients that may use the key; null allows any client. */
  clients: readonly string[] | null;
  /** Whether the key works alone, as a token of its contact without a client. */
  standalone: boolean;
  /** How often the key may be used alone in a minute; null for no limit. */
  requestsPerMinute: number | null;
  /** Custom claims of tokens that are obtained or presented with the key. */
  claims: Claims;
  /** Null in cached keys, because requests do not need them. */
  notes: Notes | null;
  /** The organization of its contact. Null in keys that are not from the cache of requests. */
  organizationId: string | null;
  /** In the cache of requests, false also if the organization of the contact is disabled. */
  enabled: boolean;
  reveal: boolean;
  expiresAt: Date | null;
  /** First use; null if never used. */
  usedAt: Date | null;
  /** Last use, accurate to an hour; null if never used. */
  lastUsedAt: Date | null;
  /** Tokens that were obtained under another epoch are inactive. */
  tokenEpoch: number;
  revision: number;
  createdAt: Date;
  updatedAt: Date;
};

/** An access key with its values, newest first, as requests need it. */
export type KnownAccessKey = { key: AccessKey; secrets: readonly Secret[] };

/** Allowed actions by kind of information: `{ orders: ['read'] }`. */
export type Permissions = Readonly<Record<string, readonly string[]>>;

export type AccessKeyStatus = 'enabled' | 'disabled' | 'expired';

export function statusOf(key: Pick<AccessKey, 'enabled' | 'expiresAt'>, now: number): AccessKeyStatus {
  if (!key.enabled) return 'disabled';
  return key.expiresAt !== null && key.expiresAt.getTime() <= now ? 'expired' : 'enabled';
}

/** Why a key must not be used with a client. */
export type KeyRefusal = 'access_key_disabled' | 'access_key_expired' | 'other_client' | 'not_standalone';

/**
 * Returns why the key must not be used now, or undefined if it may.
 * @param client the id of the client that uses it, or undefined if the key is used alone.
 */
export function refusalOfKey(key: AccessKey, client: string | undefined, now: number): KeyRefusal | undefined {
  const status = statusOf(key, now);
  if (status !== 'enabled') return `access_key_${status}`;
  if (client === undefined) return key.standalone ? undefined : 'not_standalone';
  return key.clients === null || key.clients.includes(client) ? undefined : 'other_client';
}

export function toScope(permissions: Permissions): string[] {
  return Object.entries(permissions).flatMap(([kind, allowed]) =>
    actions.filter((action) => allowed.includes(action)).map((action) => `${kind}:${action}`),
  );
}

/** Returns the scopes of a list that are a kind of information and an action. */
export function toPermissions(scope: readonly string[]): Record<string, string[]> {
  const permissions = new Map<string, string[]>();
  for (const item of scope) {
    const cell = cellOf(item);
    if (cell) permissions.set(cell.kind, [...(permissions.get(cell.kind) ?? []), cell.action]);
  }
  return Object.fromEntries(permissions);
}

/** Returns the scopes of a list that only have a declared name, which `toPermissions` omits. */
export function otherScopes(scope: readonly string[]): string[] {
  return scope.filter((item) => !cellOf(item));
}
