import type { IncomingHttpHeaders } from 'node:http';
import { isIP, isIPv4, isIPv6 } from 'node:net';
import { plainAddress } from './address-ranges.ts';

/** Optional port, which may be obfuscated (RFC 7239 §6.3). */
const port = String.raw`(?::(?:\d{1,5}|_[\w.-]+))?`;
const bracketed = new RegExp(String.raw`^\[([^\]]+)\]${port}$`);
const withPort = new RegExp(String.raw`^([\d.]+)${port}$`);

/**
 * Returns the addresses that proxies have put into X-Forwarded-For or, without that header, into Forwarded (RFC 7239),
 * the nearest caller last. An address that cannot be parsed is undefined. If both headers are present, X-Forwarded-For
 * counts, because proxies that set it often pass on a caller's own Forwarded header unchanged.
 */
export function forwardedAddresses(headers: IncomingHttpHeaders): (string | undefined)[] {
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
function readAddress(text: string): string | undefined {
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
