import { isIP, isIPv4 } from 'node:net';
import { createRangeCheck, networkOf } from './client-address.ts';
import { isAddressRange } from './trusted-proxies.ts';

/** The networks that a credential is accepted from: one type, one check and one comparison for every kind of credential. */

/** The reaction to requests from other networks: `watch` counts the requests that `enforce` rejects. */
export const networkModes = ['watch', 'enforce'] as const;
export type NetworkMode = (typeof networkModes)[number];

export type NetworkLimit = {
  /** CIDRs or addresses that the credential is accepted from; null: any. */
  allowedNetworks: readonly string[] | null;
  networkMode: NetworkMode;
};

export type GivenNetworks = {
  allowedNetworks?: readonly string[] | null | undefined;
  networkMode?: NetworkMode | undefined;
};

export const anyNetwork: NetworkLimit = { allowedNetworks: null, networkMode: 'enforce' };

/** Maximum number of networks of one credential. */
export const maxNetworks = 50;

/** Returns why a text is not the name of a network, as the end of a sentence, or undefined if it is one. */
export function networkProblem(network: string): string | undefined {
  if (!isAddressRange(network)) return 'must be an IP address or a CIDR such as 203.0.113.0/24';
  // Callers with an IPv4 address appear with that address, so such a network would never match.
  return /^::ffff:/i.test(network) ? 'must be an IPv4 network instead of an IPv4-mapped one' : undefined;
}

/** Returns why a list cannot be the networks of a credential, as the end of a sentence, or undefined if it can. */
export function networksProblem(networks: readonly string[] | null): string | undefined {
  if (networks === null) return undefined;
  if (networks.length === 0 || networks.length > maxNetworks) return `must have 1 to ${maxNetworks} networks`;
  return networks.map(networkProblem).find((problem) => problem !== undefined);
}

/** Returns the limit after a change. */
export function networkLimitOf(given: GivenNetworks, before: NetworkLimit): NetworkLimit {
  return {
    allowedNetworks: given.allowedNetworks === undefined ? before.allowedNetworks : given.allowedNetworks,
    networkMode: given.networkMode ?? before.networkMode,
  };
}

/** Maximum number of addresses whose result is cached for one list. */
const maxCached = 1_000;

/** Results by the list of a credential, which is replaced when the credential changes, and by address. */
const lists = new WeakMap<readonly string[], { check: (address: string) => boolean; results: Map<string, boolean> }>();

/**
 * Returns whether an address is in none of the allowed networks. The result is cached, because a check makes objects of
 * the system and a program calls from few addresses.
 * @param address undefined or no IP address if it is not known, which counts as outside.
 */
export function isOutside({ allowedNetworks }: NetworkLimit, address: string | undefined): boolean {
  if (allowedNetworks === null) return false;
  if (address === undefined) return true;
  let list = lists.get(allowedNetworks);
  if (!list) {
    list = { check: createRangeCheck(allowedNetworks), results: new Map() };
    lists.set(allowedNetworks, list);
  }
  const known = list.results.get(address);
  if (known !== undefined) return known;
  const outside = isIP(address) === 0 || !list.check(address);
  if (list.results.size >= maxCached) list.results.clear();
  list.results.set(address, outside);
  return outside;
}

/** Returns why a credential must not be used from an address, or undefined if it may. */
export function refusalOfNetwork(limit: NetworkLimit, address: string | undefined): 'other_network' | undefined {
  if (limit.allowedNetworks === null || limit.networkMode === 'watch') return undefined;
  return isOutside(limit, address) ? 'other_network' : undefined;
}

/** Returns whether a change makes a credential acceptable in more networks, as far as the lists show. */
export function widensNetworks(before: NetworkLimit, after: NetworkLimit): boolean {
  if (before.allowedNetworks === null || before.networkMode === 'watch') return false;
  if (after.allowedNetworks === null || after.networkMode === 'watch') return true;
  return after.allowedNetworks.some((network) => !before.allowedNetworks?.includes(network));
}

/** Returns whether a change may refuse what was accepted before. */
export function narrowsNetworks(before: NetworkLimit, after: NetworkLimit): boolean {
  if (after.allowedNetworks === null || after.networkMode === 'watch') return false;
  if (before.allowedNetworks === null || before.networkMode === 'watch') return true;
  return before.allowedNetworks.some((network) => !after.allowedNetworks?.includes(network));
}

/** Returns the /24 network of an IPv4 address or the /64 network of an IPv6 address; undefined for any other text. */
export function networkName(address: string): string | undefined {
  if (isIPv4(address)) return `${address.replace(/\.\d+$/, '')}.0/24`;
  if (isIP(address) === 0) return undefined;
  const network = networkOf(address);
  return network === undefined ? undefined : `${network}::/64`;
}
