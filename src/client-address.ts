import type { IncomingMessage } from 'node:http';
import { isIP, type Socket } from 'node:net';
import { createRangeCheck, plainAddress } from './address-ranges.ts';

/**
 * The address that a request comes from: the peer's, or, where the peer is a trusted proxy, the last one in X-Forwarded-For
 * that is not a trusted proxy itself. From anybody else that header is only a claim.
 * @param trustProxy CIDRs or single addresses.
 */
export function createAddressReader(trustProxy: readonly string[]): (request: IncomingMessage) => string {
  const isTrusted = createRangeCheck(trustProxy);
  /** A connection's other end stays the same, and it is asked for with every request. */
  const peers = new WeakMap<Socket, string>();

  function peerOf(socket: Socket): string {
    let peer = peers.get(socket);
    if (peer === undefined) {
      peer = plainAddress(socket.remoteAddress ?? '');
      peers.set(socket, peer);
    }
    return peer;
  }

  return (request) => {
    let address = peerOf(request.socket);
    if (trustProxy.length === 0) return address;
    const header = request.headers['x-forwarded-for'];
    const hops = (Array.isArray(header) ? header.join(',') : (header ?? ''))
      .split(',')
      .map((hop) => plainAddress(hop.trim()));
    while (isTrusted(address)) {
      const hop = hops.pop();
      if (!hop || !isIP(hop)) break;
      address = hop;
    }
    return address;
  };
}
