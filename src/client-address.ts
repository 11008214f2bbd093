import type { IncomingMessage } from 'node:http';
import { BlockList, isIP, isIPv6, type Socket, SocketAddress } from 'node:net';

/**
 * The address that a request comes from: the peer's, or, where the peer is a trusted proxy, the last one in X-Forwarded-For
 * that is not a trusted proxy itself. From anybody else that header is only a claim.
 * @param trustProxy CIDRs or single addresses.
 */
export function createAddressReader(trustProxy: readonly string[]): (request: IncomingMessage) => string {
  const trusted = new BlockList();
  for (const entry of trustProxy) {
    const [address = '', prefix] = entry.split('/');
    const family = isIPv6(address) ? 'ipv6' : 'ipv4';
    trusted.addSubnet(address, prefix === undefined ? (family === 'ipv6' ? 128 : 32) : Number(prefix), family);
  }
  const isTrusted = (address: string) => trusted.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');

  /** A connection's other end stays the same, and it is asked for with every request. */
  const peers = new WeakMap<Socket, string>();

  function peerOf(socket: Socket): string {
    let peer = peers.get(socket);
    if (peer === undefined) {
      peer = plain(socket.remoteAddress ?? '');
      peers.set(socket, peer);
    }
    return peer;
  }

  return (request) => {
    let address = peerOf(request.socket);
    if (trustProxy.length === 0) return address;
    const header = request.headers['x-forwarded-for'];
    const hops = (Array.isArray(header) ? header.join(',') : (header ?? '')).split(',').map((hop) => plain(hop.trim()));
    while (isTrusted(address)) {
      const hop = hops.pop();
      if (!hop || !isIP(hop)) break;
      address = hop;
    }
    return address;
  };
}

/** One way of writing for each address (RFC 5952), and an IPv4 one as such, also where the socket is an IPv6 one. */
function plain(address: string): string {
  if (!isIPv6(address)) return address;
  const { address: canonical } = new SocketAddress({ address, family: 'ipv6' });
  return canonical.startsWith('::ffff:') && canonical.includes('.') ? canonical.slice(7) : canonical;
}
