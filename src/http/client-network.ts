import { isIPv6 } from 'node:net';
import { unreadableAddress } from './unreadable-address.ts';

/**
 * Returns the network by which failures of an address are counted: an IPv4 address itself, or the /64 network of an
 * IPv6 address, from which one host can call. Returns undefined for an unreadable address, because different callers
 * would be counted as one.
 */
export function networkOf(address: string): string | undefined {
  if (address === unreadableAddress) return undefined;
  if (!address.includes(':') || !isIPv6(address) || address.startsWith('::ffff:')) return address;
  const [head = '', tail] = address.split('::');
  const left = head ? head.split(':') : [];
  const right = tail ? tail.split(':') : [];
  const groups = tail === undefined ? left : [...left, ...Array(8 - left.length - right.length).fill('0'), ...right];
  return groups.slice(0, 4).join(':');
}
