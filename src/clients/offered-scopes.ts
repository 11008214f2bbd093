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

const known = new WeakMap<Offer, ReadonlyMap<string, Meaning>>();

/** Returns the permission that each scope of a resource server means; computed once per object. */
function meaningsOf(server: Offer): ReadonlyMap<string, Meaning> {
  let meanings = known.get(server);
  if (!meanings) {
    const found = new Map<string, Meaning>();
    for (const { id, since, united = 0 } of server.scopes) {
      for (const [name, time] of Object.entries(since)) found.set(name, { id, since: time, united });
    }
    for (const name of generatedScopes(server.information)) found.set(name, { id: name, since: 0, united: 0 });
    meanings = found;
    known.set(server, meanings);
  }
  return meanings;
}

const generated = new WeakMap<readonly string[], readonly string[]>();

/** Returns the scopes of a list of kinds of information; computed once per list. */
export function generatedScopes(information: readonly string[]): readonly string[] {
  let scopes = generated.get(information);
  if (!scopes) {
    scopes = information.flatMap((kind) => actions.map((action) => `${kind}:${action}`));
    generated.set(information, scopes);
  }
  return scopes;
}

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

const shared = new WeakMap<readonly Offer[], ReadonlySet<string>>();

/**
 * Returns the scopes that several of these resource servers offer and at least one has declared. Such a name alone does
 * not determine the permission. Computed once per list.
 */
export function sharedScopes(servers: readonly Offer[]): ReadonlySet<string> {
  let found = shared.get(servers);
  if (!found) {
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
    found = new Set([...repeated].filter((name) => declared.has(name)));
    shared.set(servers, found);
  }
  return found;
}

const declared = new WeakMap<readonly Offer[], ReadonlySet<string>>();

/** Returns every name that any of these resource servers declares; computed once per list. */
export function declaredNames(servers: readonly Offer[]): ReadonlySet<string> {
  let names = declared.get(servers);
  if (!names) {
    names = new Set(servers.flatMap(({ scopes }) => scopes.flatMap(({ since }) => Object.keys(since))));
    declared.set(servers, names);
  }
  return names;
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
  throw new InvalidInput(`scope: ${names} ${unknown.length === 1 ? 'is' : 'are'} not offered by any resource server.`);
}
