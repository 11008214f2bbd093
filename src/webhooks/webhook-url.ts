import { isIP } from 'node:net';
import { invalidField } from '../errors.ts';
import { createRangeCheck } from '../http/client-address.ts';
import { isPublicAddress } from '../http/public-address.ts';
import { deploymentOrganization } from '../storage/organization-limit.ts';

/** The characters of RFC 3986. The URL parser drops others, so that another URL would be used than the stored one. */
const uriCharacters = /^[\w\-.~:/?#[\]@!$&'()*+,;=%]*$/;
const maxLength = 2_000;

/**
 * Returns a function that checks whether webhooks of an organization may be sent to an address. The networks that the deployment allows are for its own webhooks
 * only, because partners must not reach into them.
 * @param networks CIDRs.
 */
export function addressCheckFor(networks: readonly string[], organizationId: string): (address: string) => boolean {
  const isInNetwork = createRangeCheck(networks);
  const isOwn = organizationId === deploymentOrganization;
  return (address) => isPublicAddress(address) || (isOwn && isInNetwork(address));
}

/**
 * Requires an https URL whose host can be reached. http is accepted for this machine, if it is allowed at all. The address
 * of a host name is checked at each connection.
 * @throws {InvalidInput}
 */
export function requireWebhookUrl(url: string, isAllowed: (address: string) => boolean): void {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const host = parsed?.hostname.replace(/^\[|\]$/g, '') ?? '';
  const isLocal = /(^|\.)localhost\.?$/.test(host) || /^127\.|^::1$/.test(host);
  const mayBeLocal = isAllowed('127.0.0.1');
  const isUsable =
    parsed !== undefined &&
    (parsed.protocol === 'https:' || (parsed.protocol === 'http:' && isLocal)) &&
    !parsed.username &&
    !parsed.password &&
    !parsed.hash &&
    url.length <= maxLength &&
    uriCharacters.test(url) &&
    (!isLocal || mayBeLocal) &&
    (isIP(host) === 0 || isAllowed(host));
  if (isUsable) return;
  const message = 'must be an https URL with a public address';
  throw invalidField('url', message);
}
