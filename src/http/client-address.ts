import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { BlockList, isIP, isIPv4, isIPv6, type Socket, SocketAddress } from 'node:net';
import type { ProxyAlarm } from './trusted-proxies.ts';

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

/**
 * Placeholder for the address of a caller behind a trusted proxy whose forwarded address cannot be parsed. It is not an
 * IP address, so it never counts as one caller in a limit or as one source of usage.
 */
export const unreadableAddress = 'unreadable';

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

/** Optional port, which may be obfuscated (RFC 7239 §6.3). */
const port = String.raw`(?::(?:\d{1,5}|_[\w.-]+))?`;
const bracketed = new RegExp(String.raw`^\[([^\]]+)\]${port}$`);
const withPort = new RegExp(String.raw`^([\d.]+)${port}$`);

/**
 * Returns the addresses that proxies have put into X-Forwarded-For or, without that header, into Forwarded (RFC 7239),
 * the nearest caller last. An address that cannot be parsed is undefined. If both headers are present, X-Forwarded-For
 * counts, because proxies that set it often pass on a caller's own Forwarded header unchanged.
 */
function forwardedAddresses(headers: IncomingHttpHeaders): (string | undefined)[] {
  const header = headers['x-forwarded-for'];
  const listed = elementsOf(Array.isArray(header) ? header.join() : header);
  if (listed.length > 0) return listed.map(readAddress);
  return elementsOf(headers.forwarded).map(readForwarded);
}

/**
 * Splits at every comma, even inside quotes. An address never needs a quoted comma, and an unclosed quote of the caller
 * must not hide what a proxy appended.
 */
function elementsOf(header: string | undefined): string[] {
  return (header ?? '')
    .split(',')
    .map((element) => element.trim())
    .filter(Boolean);
}

/** Returns the address in the `for` parameter of one element of Forwarded, or undefined unless it has exactly one. */
function readForwarded(element: string): string | undefined {
  const values = element
    .split(';')
    .map((pair) => /^\s*for\s*=\s*(.*?)\s*$/i.exec(pair)?.[1])
    .filter((value) => value !== undefined);
  return values.length === 1 ? readAddress(values[0] ?? '') : undefined;
}

/**
 * Returns an IP address without its port, brackets and quotes, such as `203.0.113.8:40001` (as Azure sends it) or
 * `"[2001:db8::1]:443"`.
 */
export function readAddress(text: string): string | undefined {
  const bare = /^"(.*)"$/.exec(text)?.[1] ?? text;
  const inBrackets = bracketed.exec(bare)?.[1];
  const address = inBrackets ?? withPort.exec(bare)?.[1] ?? bare;
  const isReadable = inBrackets === undefined ? isIP(address) !== 0 : isIPv6(address);
  if (!isReadable || hasWrongPort(bare, address)) return undefined;
  return plainAddress(address);
}

function hasWrongPort(text: string, address: string): boolean {
  const digits = isIPv4(address) || text.startsWith('[') ? /:(\d+)$/.exec(text)?.[1] : undefined;
  return digits !== undefined && Number(digits) > 65_535;
}
