import { BlockList, isIPv6, SocketAddress } from 'node:net';

/**
 * Returns a function that checks whether an address is in any of the ranges.
 * @param ranges CIDRs or single addresses.
 */
export function createRangeCheck(ranges: readonly string[]): (address: string) => boolean {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = '', prefix] = range.split('/');
    const family = isIPv6(address) ? 'ipv6' : 'ipv4';
    list.addSubnet(address, prefix === undefined ? (family === 'ipv6' ? 128 : 32) : Number(prefix), family);
  }
  return (address) => list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
}

/**
 * Returns the canonical form of an address (RFC 5952). An IPv4-mapped address, as an IPv6 socket reports it, becomes
 * the IPv4 address.
 */
export function plainAddress(address: string): string {
  if (!isIPv6(address)) return address;
  const { address: canonical } = new SocketAddress({ address, family: 'ipv6' });
  return canonical.startsWith('::ffff:') && canonical.includes('.') ? canonical.slice(7) : canonical;
}
