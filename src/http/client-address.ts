import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { createRangeCheck, plainAddress } from './address-ranges.ts';
import { forwardedAddresses } from './forwarded-addresses.ts';
import type { ProxyAlarm } from './proxy-alarm.ts';
import { unreadableAddress } from './unreadable-address.ts';

/**
 * Returns a function that finds the address of a request's caller: the peer's, or, if the peer is a trusted proxy, the last
 * forwarded address that is not a trusted proxy itself. It is `unreadableAddress` if that address cannot be read, because the
 * proxy's own address would make all its callers one.
 * @param trustProxy CIDRs or single addresses.
 * @param alarm called if a peer that is not trusted forwards an address, or a trusted one an address that cannot be read.
 */
export function createAddressReader(
  trustProxy: readonly string[],
  alarm: ProxyAlarm = () => undefined,
): (request: IncomingMessage) => string {
  const isTrusted = createRangeCheck(trustProxy);
  /** The peer of a connection stays the same, and is needed for every request. */
  const peers = new WeakMap<Socket, { address: string; isTrusted: boolean }>();

  function peerOf(socket: Socket) {
    let peer = peers.get(socket);
    if (peer === undefined) {
      const address = plainAddress(socket.remoteAddress ?? '');
      peer = { address, isTrusted: isTrusted(address) };
      peers.set(socket, peer);
    }
    return peer;
  }

  return ({ socket, headers }) => {
    const peer = peerOf(socket);
    if (headers['x-forwarded-for'] === undefined && headers.forwarded === undefined) return peer.address;
    if (!peer.isTrusted) {
      alarm('untrusted_address', peer.address);
      return peer.address;
    }
    let { address } = peer;
    for (const hop of forwardedAddresses(headers).reverse()) {
      if (hop === undefined) {
        alarm('unreadable_address', peer.address);
        return unreadableAddress;
      }
      address = hop;
      if (!isTrusted(hop)) break;
    }
    return address;
  };
}
