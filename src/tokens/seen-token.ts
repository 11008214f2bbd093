import type { AccessKey } from '../access-keys/access-key.ts';
import type { PresentedAccessKey } from '../access-keys/access-key-cache.ts';
import { namedOrganization } from '../clients/ceiling.ts';
import { type Client, parseScope, scopeAt } from '../clients/client.ts';
import { type Claims, mergeClaims } from '../clients/custom-claims.ts';
import { generatedScopes, isDeclared, isHeld, isOffered } from '../clients/offered-scopes.ts';
import type { TokenRecord } from './token-record.ts';
import type { TokenRefusal } from './token-rules.ts';

/** Examines tokens for a resource server. */

/** A live token with its current scope and audience at the resource server that asks. */
export type LiveToken = {
  record: TokenRecord;
  scope: string;
  audience: string;
  accessKey: AccessKey | undefined;
  /** The key that was presented as this token; undefined for any other token. */
  standalone: PresentedAccessKey | undefined;
  /** The organization that the client or stand-alone key belongs to; undefined for that of the deployment. */
  organizationId: string | undefined;
  /** The current custom claims; undefined if there are none. */
  claims: Claims | undefined;
};

/**
 * Why a token is not live, or not at a resource server, with what was found until that was known. Introspection
 * discards it, because RFC 7662 §2.2 allows no reason in the answer; the log of rejected requests and `explain` use it.
 */
export type RefusedToken = { refusal: TokenRefusal } & Partial<FoundToken>;

/** A token with its current client and access key. Without a client, it is or stems from a stand-alone access key. */
export type FoundToken = {
  record: TokenRecord;
  client?: Client | undefined;
  key?: AccessKey | undefined;
  standalone?: PresentedAccessKey | undefined;
};

/** Returns what a token allows at this resource server, or why it is not live there. */
export function seenBy(server: Client, found: FoundToken, presentedKey?: AccessKey): LiveToken | RefusedToken {
  const { record, key } = found;
  if (record.resource !== undefined && record.resource !== server.resource) {
    return { refusal: 'other_resource', ...found };
  }
  const scope = grantedScope(server, found).filter((item) => !lackOf(item, server, found, presentedKey));
  // A token that was issued without any scope only identifies its client, and is valid at every resource server.
  if (scope.length === 0 && (record.scope !== '' || !found.client)) return { refusal: 'no_scope_left', ...found };
  const accessKey = key ?? presentedKey;
  const claims = mergeClaims(server, found.client, accessKey);
  return {
    record,
    scope: scope.join(' '),
    audience: server.resource ?? '',
    accessKey,
    standalone: found.standalone,
    organizationId: namedOrganization(found.client ?? key),
    claims,
  };
}

/** Returns what no longer allows a granted scope, or undefined if the token still allows it at this resource server. */
export function lackOf(
  scope: string,
  server: Client,
  { record, client, key, standalone }: FoundToken,
  presentedKey?: AccessKey,
): 'client' | 'access_key' | 'presented_access_key' | 'resource_server' | undefined {
  if (client && !isHeld(server, client.scope, scope)) return 'client';
  if (key && !isHeld(server, key.scope, scope)) return 'access_key';
  if (presentedKey && !isHeld(server, presentedKey.scope, scope)) return 'presented_access_key';
  // A stand-alone key has what it is granted now, whenever its value was created.
  const since = standalone ? Number.POSITIVE_INFINITY : latestIssue(record);
  return isOffered(server, scope, since) ? undefined : 'resource_server';
}

/** Returns the latest time at which a token can have been issued. A JWT has whole seconds, and always a resource. */
function latestIssue({ issuedAt, resource }: TokenRecord): number {
  return resource === undefined ? issuedAt : issuedAt + 999;
}

/**
 * Returns the scope that was granted when the token was issued. It may contain scopes that this resource server does not
 * offer.
 */
export function grantedScope(server: Client, { record, client, key }: FoundToken): readonly string[] {
  if (record.scope !== undefined) return parseScope(record.scope);
  const { scopeVersions: versions } = record;
  // A token without a client always has the scope that was granted.
  if (!client) return [];
  if (!versions) return client.scope;
  const ofClient = scopeAt(client, client.scope, versions.client);
  const ofKey = key && scopeAt(key, key.scope, versions.accessKey);
  // Declared scopes are compared with the time at which they were declared, so only generated ones need their version.
  const generated = generatedScopes(
    record.resource === undefined ? server.information : scopeAt(server, server.information, versions.resource),
  );
  const since = latestIssue(record);
  return ofClient.filter((item) => {
    const wasOffered = generated.includes(item) || isDeclared(server, item, since);
    return wasOffered && (!ofKey || isHeld(server, ofKey, item, since));
  });
}

/**
 * Returns what a token allows at this resource server as the same object, until its client, access key or resource server
 * changes. Undefined if it is not live there.
 */
export function sameSeenBy(server: Client, found: FoundToken): LiveToken | undefined {
  const { record, client, key } = found;
  const before = seenBefore.get(record);
  // Compare by identity: caches replace an object as soon as it may have changed.
  if (before?.server === server && before.client === client && before.key === key) return before.live;
  const live = liveOnly(seenBy(server, found));
  if (live) seenBefore.set(record, { server, client, key, live });
  return live;
}

const seenBefore = new WeakMap<TokenRecord, Omit<FoundToken, 'record'> & { server: Client; live: LiveToken }>();

/** Returns a token if it is live. */
export function liveOnly(examined: LiveToken | RefusedToken): LiveToken | undefined {
  return 'refusal' in examined ? undefined : examined;
}
