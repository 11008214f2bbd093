import { findUnstorableText } from '../text/read-text.ts';

/** Claims that an operator gives a client, an access key or a resource server, for introspections and JWTs. */
export type Claims = Readonly<Record<string, ClaimValue>>;
type ClaimValue = string | number | boolean | readonly string[];

/** Limits of the claims of one client, access key or resource server. With all three, a JWT still fits a header. */
export const claimLimits = { claims: 20, items: 20, bytes: 1_024 } as const;

const claimName = /^[A-Za-z][A-Za-z0-9_.:/-]{0,127}$/;

/** Describes the form of a claim's name, as the end of a sentence. */
const claimNameForm = 'must begin with a letter and have at most 128 letters, digits and _ . : / -';

/**
 * Names that custom claims cannot have: those that IANA has registered for JWTs (RFC 7519 §10.1) and for introspections
 * (RFC 7662 §3.1), and Keyturn's own.
 */
const reserved = new Set(
  `iss sub aud exp nbf iat jti name given_name family_name middle_name nickname preferred_username profile picture website
  email email_verified gender birthdate zoneinfo locale phone_number phone_number_verified address updated_at azp nonce
  auth_time at_hash c_hash acr amr sub_jwk cnf sip_from_tag sip_date sip_callid sip_cseq_num sip_via_branch orig dest mky
  events toe txn rph sid vot vtm attest origid act scope client_id may_act jcard at_use_nbr div opt vc vp sph ace_profile
  cnonce exi roles groups entitlements token_introspection eat_nonce ueid sueids oemid hwmodel hwversion oemboot dbgstat
  location eat_profile submods uptime bootcount bootseed dloas swname swversion manifests measurements measres intuse cdniv
  cdnicrit cdniip cdniuc cdniets cdnistt cdnistd sig_val_claims authorization_details verified_claims place_of_birth
  nationalities birth_family_name birth_given_name birth_middle_name salutation title msisdn also_known_as htm htu ath atc
  sub_id rcd rcdi crn msgi _claim_names _claim_sources rdap_allowed_purposes rdap_dnt_allowed geohash _sd sd_hash
  consumerplmnid consumersnpnid producerplmnid producersnpnid producersnssailist producernsilist producernfsetid
  producernfservicesetid sourcenfinstanceid analyticsidlist resowneridlist cose_key status vct jwks metadata_policy
  constraints crit ref delegation metadata trust_mark_type trust_marks trust_mark_issuers trust_mark_owners authority_hints
  source_endpoint keys status_list active username token_type
  access_key_id contact_id organization_id access_key epoch generation`
    .toLowerCase()
    .split(/\s+/),
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
  client: { claims: Claims },
  key: { claims: Claims } | undefined,
): Claims | undefined {
  if ((server?.claims ?? none) === none && client.claims === none && (key?.claims ?? none) === none) return undefined;
  return { ...server?.claims, ...client.claims, ...key?.claims };
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
