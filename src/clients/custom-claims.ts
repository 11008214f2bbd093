import { findUnstorableText } from '../text/read-text.ts';
import { registeredClaims } from './registered-claims.ts';

/** Claims that an operator gives a client, an access key or a resource server, for introspections and JWTs. */
export type Claims = Readonly<Record<string, ClaimValue>>;
type ClaimValue = string | number | boolean | readonly string[];

/** Limits of the claims of one client, access key or resource server. With all three, a JWT still fits a header. */
export const claimLimits = { claims: 20, items: 20, bytes: 1_024 } as const;

const claimName = /^[A-Za-z][A-Za-z0-9_.:/-]{0,127}$/;

/** Describes the form of a claim's name, as the end of a sentence. */
const claimNameForm = 'must begin with a letter and have at most 128 letters, digits and _ . : / -';

/**
 * Names in lower case that custom claims cannot have: those that IANA has registered for JWTs, members of introspections
 * (RFC 7662 §2.2), claims of credentials and keys that are about to be registered, and Keyturn's own.
 */
const reserved = new Set(
  [
    ...registeredClaims,
    ...['active', 'username', 'token_type', 'vct', 'cose_key'],
    ...['access_key_id', 'contact_id', 'organization_id', 'access_key', 'epoch', 'generation'],
    ...['access_key_retirement', 'rate_limit', 'parent_jtis'],
  ].map((name) => name.toLowerCase()),
);

/** Beginnings of names that are reserved for Keyturn. */
const reservedPrefix = /^https?:\/\/keyturn\.dev(?:\/|$)/i;

/**
 * Returns why claims cannot be stored, as the end of a sentence that begins with the name of the field, or undefined if
 * they can. The admin API, the console, the command line and imports call it.
 */
export function claimsProblem(claims: Readonly<Record<string, unknown>>): string | undefined {
  const entries = Object.entries(claims);
  if (entries.length > claimLimits.claims) return `must have at most ${claimLimits.claims} claims`;
  for (const [name, value] of entries) {
    if (!claimName.test(name)) return `each name ${claimNameForm}`;
    if (reserved.has(name.toLowerCase()) || reservedPrefix.test(name)) {
      return `${name} is a registered claim, or one that Keyturn sets. Choose another name`;
    }
    if (!isClaimValue(value)) {
      return `the value of ${name} must be a text, a number, true, false, or a list of at most ${claimLimits.items} texts`;
    }
    if (findUnstorableText(value)) return `the value of ${name} must not contain U+0000 or half of a surrogate pair`;
  }
  const bytes = Buffer.byteLength(JSON.stringify(claims));
  return bytes > claimLimits.bytes ? `must have at most ${claimLimits.bytes} bytes as JSON` : undefined;
}

function isClaimValue(value: unknown): value is ClaimValue {
  if (Array.isArray(value)) return value.length <= claimLimits.items && value.every((item) => typeof item === 'string');
  return (
    typeof value === 'string' || typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))
  );
}

/** The claims of an owner without any; one object, so that tokens without custom claims are recognised by identity. */
const none: Claims = {};

/** Returns stored claims. */
export function readClaims(stored: Claims): Claims {
  return Object.keys(stored).length === 0 ? none : stored;
}

/**
 * Returns the claims of a token. The more specific owner wins: a claim of the access key over one of the client, and that
 * over one of the resource server. Undefined if there are none, which is the usual case.
 */
export function mergeClaims(
  server: { claims: Claims } | undefined,
  client: { claims: Claims } | undefined,
  key: { claims: Claims } | undefined,
): Claims | undefined {
  const [ofServer, ofClient, ofKey] = [server, client, key].map((owner) => owner?.claims ?? none);
  if (ofServer === none && ofClient === none && ofKey === none) return undefined;
  return { ...ofServer, ...ofClient, ...ofKey };
}

/** Text that people write for the value of a claim: the value itself, or JSON for a number, a boolean or a list. */

/** Reads JSON, and any other text as it is. */
export function readClaimText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Writes a value so that `readClaimText` reads it again. */
export function writeClaimText(value: unknown): string {
  const isPlain =
    typeof value === 'string' && readClaimText(value) === value && !/^\s|\s$|[\r\n]/.test(value) && value !== '';
  return isPlain ? value : JSON.stringify(value);
}
