import { decodeJwt, decodeProtectedHeader, type JWTPayload, type ProtectedHeaderParameters } from 'jose';
import { LRUCache } from 'lru-cache';
import type { Client, KnownClient } from '../clients/client.ts';
import { type KeyCredential, keyCredentialsOf, refusalOfCredential, usableFirst } from '../clients/key-credentials.ts';
import {
  acceptedOf,
  decoyKeys,
  readVerificationKey,
  type VerificationAlgorithm,
  type VerificationKey,
} from '../clients/verification-key.ts';
import type { Config } from '../config.ts';
import { isAccepted } from '../configuration/dialects.ts';
import type { Core } from '../core.ts';
import { isSignedWith } from '../credentials/jws-signature.ts';
import { isOtherTokenPath, tokenPath } from '../http/token-path.ts';
import { withDeadline } from '../storage/with-deadline.ts';
import { readWorkloadToken } from '../trusts/verify-token.ts';
import { findLeftKeys, type UsedKey } from '../usage/client-key-store.ts';
import { InvalidClient } from './oauth-error.ts';
import type { PresentedIdentity } from './workload-identity.ts';

/** The only reason for which a rejected assertion is not checked again with a re-read client. */
export const reusedAssertion = 'assertion_reused';

const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
/** The type of JWT-SVIDs (draft-ietf-oauth-spiffe-client-auth §4.1). */
const spiffeType = 'urn:ietf:params:oauth:client-assertion-type:jwt-spiffe';
const maxLength = 8 * 1024;
/**
 * Seconds that a client's clock may be ahead of the server's (FAPI 2.0 §5.3.2.1). Applies to `exp`, `iat` and `nbf`.
 */
const leewaySeconds = 10;
const maxLifetimeSeconds = 300;

export type PresentedAssertion = {
  clientId: string;
  assertion: string;
  header: ProtectedHeaderParameters;
  claims: JWTPayload;
};

/**
 * Reads which client an assertion claims to be from. Nothing in it is verified yet.
 * @param type the parameter `client_assertion_type`.
 * @param named the optional parameter `client_id` (RFC 7521 §4.2).
 * @throws {InvalidClient}
 */
export function readAssertion(
  assertion: string,
  { type, named }: { type: string | undefined; named: string | undefined },
): PresentedAssertion | PresentedIdentity {
  if (type !== assertionType && type !== spiffeType) throw new InvalidClient('not a JWT assertion');
  if (assertion.length > maxLength || !/^[\w-]+\.[\w-]+\.[\w-]+$/.test(assertion)) {
    throw new InvalidClient('not a signed JWT in compact form');
  }
  const { header, claims } = decode(assertion);
  const clientId = claims.sub;
  if (typeof clientId !== 'string' || clientId !== claims.iss) {
    // A client issues its assertions itself; any other issuer must be trusted (RFC 7523 §3).
    const identity = readWorkloadToken(assertion);
    if (!identity) throw new InvalidClient('iss and sub are not one client');
    return { identity, named };
  }
  if (named !== undefined && named !== clientId) throw new InvalidClient('client_id is another one');
  return { clientId, assertion, header, claims };
}

/** Result of examining a client assertion. */
export type ExaminedAssertion = {
  /** The reason for the rejection, or undefined if the assertion is valid. */
  refusal: string | undefined;
  /** The credential whose key signed it; undefined if none did. */
  credential?: KeyCredential;
  /** The key that signed it, if that is known. */
  key?: UsedKey;
};

/**
 * Checks that an assertion is signed with a key of the client, names this issuer, is current, and was never used before
 * (RFC 7523 §3, FAPI 2.0 §5.3.2.1). Keys come only from the registration; key references in the assertion are ignored.
 * @param known undefined if no client may use an assertion here. As many signatures are checked even then, so that the
 * response time does not reveal which clients exist.
 * @throws {StoreUnavailable} if it cannot be determined whether the assertion was used before.
 */
export async function examineAssertion(
  core: Core,
  known: KnownClient | undefined,
  { clientId, assertion, header, claims }: PresentedAssertion,
): Promise<ExaminedAssertion> {
  if (header.crit !== undefined || 'b64' in header) return { refusal: 'assertion_header' };
  // Reject access tokens and every other JWT whose type is not that of a client assertion (RFC 8725 §3.11).
  if (header.typ !== undefined && !/^(application\/)?(client-authentication\+)?jwt$/i.test(header.typ))
    return { refusal: 'assertion_type' };
  const candidates = findCandidates(core, known, clientId, header);
  const signed = await findSigner(assertion, candidates, { alg: header.alg, checks: maxChecks });
  if (!known || !signed?.credential) return { refusal: 'assertion_signature' };
  const { credential, used: key } = signed;
  const refusal =
    refusalOfClaims(claims, core.config, known.client, core.clock() / 1_000) ??
    refusalOfCredential(credential, clientId, core.clock());
  if (refusal) return { refusal, credential, ...(key ? { key } : {}) };
  const { jti = '', exp = 0, iat = exp - maxLifetimeSeconds } = claims;
  const isFirst = await core.usedAssertions.useOnce({
    owner: known.client.id,
    kind: 'assertion',
    jti: `${clientId} ${jti}`,
    // An `iat` can be any number, and neither JavaScript nor PostgreSQL has a date for each of them.
    usableFrom: Math.max(0, iat - leewaySeconds) * 1_000,
    expiresAt: exp * 1_000,
  });
  return { refusal: isFirst ? undefined : reusedAssertion, credential, ...(key ? { key } : {}) };
}

type Candidate = { key: VerificationKey; used: UsedKey | undefined; credential: KeyCredential | undefined };

/** The reason for rejecting an assertion that is signed with a key that is no longer published at the client's URL. */
export const leftKey = 'key_left_set';

/** An id that no client has. */
const noClient = '00000000-0000-0000-0000-000000000000';

/** Maximum number of concurrent look-ups of keys that are no longer published, so that other work finds a connection. */
const maxLookups = 3;
const warnEveryMs = 3_600_000;

/** Recognizes keys that clients published before. */
export type LeftKeys = {
  /**
   * Returns the key of a rejected assertion if the client published it before, so that its operator learns that a
   * program still signs with it. The look-up is made for unknown clients too, so that it takes the same time. Returns
   * undefined without a look-up for an impossible Client ID, for an algorithm that is not accepted, and while many
   * others are running.
   * @throws {StoreUnavailable}
   */
  find(known: KnownClient | undefined, presented: PresentedAssertion): Promise<UsedKey | undefined>;
  /** Logs the use of a key that is no longer published, for each key at most once an hour. */
  warn(clientId: string, key: UsedKey): void;
};

export function createLeftKeys({ assertionAlgorithms, clients, clock, config, database, log }: Core): LeftKeys {
  const warnedAt = new LRUCache<string, number>({ max: 1_000 });
  let running = 0;

  async function load(client: string): ReturnType<typeof findLeftKeys> {
    running += 1;
    try {
      return await findLeftKeys(database, client);
    } finally {
      running -= 1;
    }
  }

  return {
    find: async (known, { clientId, assertion, header, claims }) => {
      const isPossible = decoyKeys(header.alg).length > 0 && (await clients.isPossible(clientId));
      if (!isPossible || running >= maxLookups) return undefined;
      const accepted = acceptedOf(assertionAlgorithms, known?.client);
      const left = await withDeadline(load(known?.client.id ?? noClient));
      const candidates = left.flatMap(({ kid, thumbprint, jwk }): Candidate[] => {
        const key = readVerificationKey(jwk, accepted);
        const isFor = typeof key !== 'string' && key.algs.some((each) => each === header.alg) && key.kid === header.kid;
        return isFor ? [{ key, used: { kind: 'key', kid, thumbprint }, credential: undefined }] : [];
      });
      const signed = await findSigner(assertion, candidates.slice(0, maxLeftChecks), {
        alg: header.alg,
        checks: maxLeftChecks,
      });
      // A replayed old assertion does not show that the client's programs still use its key.
      if (!signed || !known || refusalOfClaims(claims, config, known.client, clock() / 1_000)) return undefined;
      return signed.used;
    },
    warn: (clientId, { kid, thumbprint }) => {
      const name = `${clientId} ${thumbprint}`;
      if (clock() - (warnedAt.get(name) ?? Number.NEGATIVE_INFINITY) < warnEveryMs) return;
      warnedAt.set(name, clock());
      log.warn({ client_id: clientId, kid, thumbprint }, 'a client signs with a key that it no longer publishes');
    },
  };
}

/**
 * Number of keys that the signature of a rejected assertion is checked with, and the maximum for an accepted one. A set
 * of keys has at most as many, so an assertion without a kid may be signed with any of them.
 */
const maxChecks = 10;
/** Maximum number of signature checks with keys that are no longer published. */
const maxLeftChecks = 2;

/**
 * Yields the keys that may have signed an assertion, those of accepted credentials first, and of each credential those
 * with the kid of the assertion. Reads the URL of a credential only if no earlier key has signed.
 */
async function* findCandidates(
  core: Core,
  known: KnownClient | undefined,
  clientId: string,
  header: ProtectedHeaderParameters,
): AsyncGenerator<Candidate> {
  const kid = typeof header.kid === 'string' ? header.kid : undefined;
  const accepted = acceptedOf(core.assertionAlgorithms, known?.client);
  if (!accepted.some((each) => each === header.alg)) return;
  const now = core.clock();
  const credentials = (known ? usableFirst(keyCredentialsOf(known, now), clientId, now) : [])
    .filter(({ registration }) => registration.authMethod === 'private_key_jwt')
    .map((credential) => ({ credential, refusal: refusalOfCredential(credential, clientId, now) }));
  const [usable, refused] = [credentials.filter((each) => !each.refusal), credentials.filter((each) => each.refusal)];
  const tried = new Set<string>();
  let isKidKnown = !kid;

  async function* keysOf({ credential, refusal }: (typeof credentials)[number], wanted?: string) {
    const isEnded = refusal !== undefined && refusal !== 'wrong_client_id';
    const { registration } = credential;
    // A URL is no longer read once its credential has ended.
    const keys = isEnded
      ? await core.clientKeys.find({ ...registration, jwksUri: null }, { accepted })
      : await core.clientKeys.find(registration, { accepted, kid: wanted, client: known?.client.id });
    isKidKnown ||= !refusal && keys.some((key) => key.kid === kid);
    const namedFirst = [...keys.filter((key) => key.kid === kid), ...keys.filter((key) => key.kid !== kid)];
    for (const key of namedFirst) {
      const { thumbprint } = key;
      const isNamed = key.kid === kid || (!isEnded && (!kid || !key.kid));
      if (!isNamed || !key.algs.some((each) => each === header.alg) || tried.has(thumbprint)) continue;
      if (tried.size >= maxChecks) return;
      tried.add(thumbprint);
      const used: UsedKey = { kind: 'key', kid: key.kid ?? null, thumbprint };
      yield { key, credential, used };
    }
  }

  for (const each of usable) yield* keysOf(each);
  // A kid that is unknown to one credential may be known to another, so no URL is fetched again for it at first.
  if (!isKidKnown) for (const each of usable) yield* keysOf(each, kid);
  for (const each of refused) yield* keysOf(each);
}

/**
 * Returns the candidate whose key signed an assertion. If none of them did, checks keys that nobody can sign with until
 * there were `checks` checks in total, so that the time does not show how many candidates there are.
 */
async function findSigner(
  assertion: string,
  candidates: Iterable<Candidate> | AsyncIterable<Candidate>,
  { alg, checks }: { alg: unknown; checks: number },
): Promise<Candidate | undefined> {
  let left = checks;
  for await (const candidate of candidates) {
    left -= 1;
    if (isSignedWith(alg as VerificationAlgorithm, candidate.key.key, assertion)) return candidate;
  }
  for (const { key } of decoyKeys(alg)) {
    for (; left > 0; left -= 1) isSignedWith(alg as VerificationAlgorithm, key, assertion);
  }
  return undefined;
}

function refusalOfClaims(
  { aud, exp, iat, nbf, jti }: JWTPayload,
  config: Config,
  client: Client,
  now: number,
): string | undefined {
  if (!isForThisServer(aud, config, client)) return 'assertion_audience';
  if (typeof exp !== 'number' || exp <= now || exp > now + maxLifetimeSeconds + leewaySeconds)
    return 'assertion_expiry';
  for (const since of [iat, nbf]) {
    if (since !== undefined && !(typeof since === 'number' && since <= now + leewaySeconds)) return 'assertion_date';
  }
  return typeof jti === 'string' && jti.length > 0 ? undefined : 'assertion_id';
}

/**
 * Requires the issuer as the only audience, as a string: with another audience, the assertion could be used there too
 * (FAPI 2.0 §5.3.2.1). A dialect also accepts the URL of the token endpoint (RFC 7523 §3), and lists.
 */
function isForThisServer(aud: unknown, { issuer, dialects }: Config, client: Client): boolean {
  if (aud === issuer) return true;
  if (!isAccepted('token_endpoint_audience', dialects, client)) return false;
  return [aud].flat().some((one) => {
    if (typeof one !== 'string' || !one.startsWith(issuer)) return false;
    const path = one.slice(issuer.length);
    return path === '' || path === tokenPath || (isOtherTokenPath(path) && isAccepted('other_paths', dialects, client));
  });
}

function decode(assertion: string): Pick<PresentedAssertion, 'header' | 'claims'> {
  try {
    return { header: decodeProtectedHeader(assertion), claims: decodeJwt(assertion) };
  } catch {
    throw new InvalidClient('not a JWT');
  }
}
