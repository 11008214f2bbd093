import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { createRangeCheck, plainAddress } from './address-ranges.ts';
import { forwardedAddresses } from './forwarded-addresses.ts';
import type { ProxyAlarm } from './proxy-alarm.ts';
import { unreadableAddress } from './unreadable-address.ts';

/**
 * Returns a function that finds the address of a request's caller: the peer's address or, if the peer is a trusted
 * proxy, the last forwarded address that is not a trusted proxy itself. Returns `unreadableAddress` if that address
 * cannot be parsed, because the proxy's own address would merge all its callers into one.
 * @param trustProxy CIDRs or single addresses.
 * @param alarm called if an untrusted peer forwards an address, or if a trusted one forwards an address that cannot be
 * parsed.
 */
export function createAddressReader(
  trustProxy: readonly string[],
  alarm: ProxyAlarm = () => undefined,
): (request: IncomingMessage) => string {
  const isTrusted = createRangeCheck(trustProxy);
  /** Peers by connection, cached because every request needs its peer, which never changes. */
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
