import { InvalidInput } from '../errors.ts';
import type { Client } from './client.ts';
import { actions } from './declared-scopes.ts';

/** Meanings of scope names at resource servers. */

/** The part of a resource server that defines its scopes. */
export type Offer = Pick<Client, 'information' | 'scopes'>;

/**
 * @property id the permission. @property since milliseconds since the epoch; 0 for a generated scope.
 * @property united since when other names mean the same permission, at the earliest.
 */
type Meaning = { id: string; since: number; united: number };

/** Returns a function that computes its result once for each object. The objects do not change. */
function oncePer<Key extends object, Value extends object>(compute: (key: Key) => Value): (key: Key) => Value {
  const computed = new WeakMap<Key, Value>();
  return (key) => {
    let value = computed.get(key);
    if (value === undefined) {
      value = compute(key);
      computed.set(key, value);
    }
    return value;
  };
}

/** Returns the permission that each scope of a resource server means. */
const meaningsOf = oncePer((server: Offer): ReadonlyMap<string, Meaning> => {
  const found = new Map<string, Meaning>();
  for (const { id, since, united = 0 } of server.scopes) {
    for (const [name, time] of Object.entries(since)) found.set(name, { id, since: time, united });
  }
  for (const name of generatedScopes(server.information)) found.set(name, { id: name, since: 0, united: 0 });
  return found;
});

/** Returns the scopes of a list of kinds of information. */
export const generatedScopes = oncePer((information: readonly string[]): readonly string[] =>
  information.flatMap((kind) => actions.map((action) => `${kind}:${action}`)),
);

/** Returns every scope of a resource server: generated ones, declared ones and their aliases. */
export function offeredScopes(server: Offer): readonly string[] {
  return [...meaningsOf(server).keys()];
}

/** Returns whether a resource server offers a scope. @param since ignores names that mean it only after this time. */
export function isOffered(server: Offer, scope: string, since = Number.POSITIVE_INFINITY): boolean {
  const meaning = meaningsOf(server).get(scope);
  return meaning !== undefined && meaning.since <= since;
}

/** Returns whether a resource server has declared this name before a time, in milliseconds since the epoch. */
export function isDeclared(server: Offer, scope: string, since: number): boolean {
  const meaning = meaningsOf(server).get(scope);
  return meaning !== undefined && meaning.since > 0 && meaning.since <= since;
}

/** Returns the part of a scope that a resource server offers. */
export function offeredBy(server: Offer, scope: readonly string[]): string[] {
  return scope.filter((item) => isOffered(server, item));
}

/** Returns what a scope means at a resource server, or undefined if the server does not offer it. */
export function permissionOf(server: Offer, scope: string): string | undefined {
  return meaningsOf(server).get(scope)?.id;
}

/**
 * Returns whether a list contains a scope, or another name of the same permission at this resource server.
 * @param since ignores names that mean it only after this time, in milliseconds since the epoch.
 */
export function isHeld(
  server: Offer,
  held: readonly string[],
  scope: string,
  since = Number.POSITIVE_INFINITY,
): boolean {
  if (held.includes(scope)) return true;
  if (server.scopes.length === 0) return false;
  const meanings = meaningsOf(server);
  const meant = meanings.get(scope);
  if (!meant || Math.max(meant.since, meant.united) > since) return false;
  return held.some((item) => {
    const meaning = meanings.get(item);
    return meaning?.id === meant.id && Math.max(meaning.since, meaning.united) <= since;
  });
}

/**
 * Returns the scopes that several of these resource servers offer and at least one has declared. Such a name alone does
 * not determine the permission.
 */
export const sharedScopes = oncePer((servers: readonly Offer[]): ReadonlySet<string> => {
  const declared = new Set<string>();
  const seen = new Set<string>();
  const repeated = new Set<string>();
  for (const server of servers) {
    for (const [name, { since }] of meaningsOf(server)) {
      if (since > 0) declared.add(name);
      if (seen.has(name)) repeated.add(name);
      seen.add(name);
    }
  }
  return repeated.intersection(declared);
});

/** Returns every name that any of these resource servers declares. */
export const declaredNames = oncePer(
  (servers: readonly Offer[]): ReadonlySet<string> =>
    new Set(servers.flatMap(({ scopes }) => scopes.flatMap(({ since }) => Object.keys(since)))),
);

/** Returns the names of a resource server that are deprecated. */
export function deprecatedScopes(server: Offer): Set<string> {
  return new Set(server.scopes.flatMap(({ deprecated = [] }) => deprecated));
}

/** Returns every scope of a resource server that is not deprecated. */
export function recommendedScopes(server: Offer): string[] {
  const deprecated = deprecatedScopes(server);
  return offeredScopes(server).filter((scope) => !deprecated.has(scope));
}

/** Returns every scope that any of these resource servers offers. */
export function scopesOfferedBy(servers: readonly Offer[]): Set<string> {
  return new Set(servers.flatMap(offeredScopes));
}

/** @throws {InvalidInput} naming the scopes that none of these resource servers offers. */
export function requireOffered(scope: readonly string[], servers: readonly Offer[]): void {
  const unknown = scope.filter((item) => !servers.some((server) => isOffered(server, item)));
  if (unknown.length === 0) return;
  const names = unknown.map((item) => `"${item}"`).join(', ');
  throw new InvalidInput(
    `scope: ${names} ${unknown.length === 1 ? 'is' : 'are'} not offered by any resource server. ${describeOffer(unknown, servers)}`,
  );
}

/** Maximum number of scopes in an error. */
const shownScopes = 20;

/** Lists offered scopes, first those that begin like an unknown one. */
function describeOffer(unknown: readonly string[], servers: readonly Offer[]): string {
  const offered = [...scopesOfferedBy(servers)].sort();
  if (offered.length === 0) return 'No scope is offered yet: register a resource server with its information first.';
  const beginningOf = (scope: string) => /^\w*/.exec(scope)?.[0];
  const beginnings = new Set(unknown.map(beginningOf));
  const [similar, others] = [true, false].map((is) => offered.filter((one) => beginnings.has(beginningOf(one)) === is));
  const listed = [...(similar ?? []), ...(others ?? [])].slice(0, shownScopes);
  const more = offered.length - listed.length;
  return `Offered: ${listed.join(', ')}${more > 0 ? ` and ${more} more` : ''}.`;
}
