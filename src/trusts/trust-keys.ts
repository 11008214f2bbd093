import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LRUCache } from 'lru-cache';
import { type ClientKey, usableKeys, type VerificationAlgorithm } from '../clients/verification-key.ts';
import { KeyturnError } from '../errors.ts';
import { createRangeCheck } from '../http/client-address.ts';
import { fetchOutside, type OutsideOptions } from '../http/outside-fetch.ts';
import { isPublicAddress } from '../http/public-address.ts';
import type { Log } from '../observability/log.ts';
import type { Clock } from '../process/clock.ts';
import { isOfSpiffe, type Trust } from './trust.ts';

/** Accepted signature algorithms of workload identities. RS256 is what most platforms sign with. */
export const trustAlgorithms: readonly VerificationAlgorithm[] = ['ES256', 'EdDSA', 'Ed25519', 'PS256', 'RS256'];

/** Settings of the deployment for the keys of issuers. */
export type TrustSettings = {
  /** Private networks, as CIDRs, that keys may be read from. */
  trustNetworks: readonly string[];
  /** The URL of the API of the cluster that the deployment runs in. */
  clusterUrl: string | undefined;
  /** The directory of the service account: `ca.crt` and `token`. */
  clusterFiles: string;
};

export type TrustKeyring = {
  /**
   * Returns the public keys of an issuer.
   * @param kid the ID of the key to find. The keys are read again if the ID is unknown, at most once a minute.
   * @throws {KeyturnError} 503 if they cannot be read and no earlier ones may be used any more.
   */
  find(trust: Trust, kid: string | undefined): Promise<readonly ClientKey[]>;
};

type Read = { keys: readonly ClientKey[]; readAt: number; triedAt: number; running: Promise<void> | undefined };

const maxSources = 1_000;
/** Maximum number of keys of one issuer. */
const maxKeys = 20;
/** Maximum age of keys before they are read again. A removed key is accepted until then. */
const freshForMs = 5 * 60_000;
/** Maximum age of keys that are still used while they cannot be read. */
const usableForMs = 60 * 60_000;
/** Minimum time between two reads, so that tokens with unknown key IDs cannot cause many. */
const retryAfterMs = 60_000;

export function createTrustKeyring(deps: { settings: TrustSettings; clock: Clock; log: Log }): TrustKeyring {
  const { settings, clock, log } = deps;
  const sources = new LRUCache<string, Read>({ max: maxSources });

  async function read(trust: Trust, found: Read): Promise<void> {
    found.triedAt = clock();
    try {
      const keys = await fetchKeys(trust, settings);
      found.keys = usableKeys(isOfSpiffe(trust) ? keys.map(withoutSpiffeUse) : keys, trustAlgorithms, maxKeys);
      found.readAt = clock();
    } catch (error) {
      log.warn({ issuer: trust.issuer, error: (error as Error).message }, 'failed to read the keys of an issuer');
    } finally {
      found.running = undefined;
    }
  }

  return {
    find: async (trust, kid) => {
      const { keys } = trust;
      const name = keys.source === 'jwks' ? `${trust.id} ${trust.revision}` : sourceOf(trust);
      const never = Number.NEGATIVE_INFINITY;
      const found = sources.get(name) ?? { keys: [], readAt: never, triedAt: never, running: undefined };
      sources.set(name, found);
      if (keys.jwks) {
        if (found.readAt === never)
          found.keys = usableKeys(keys.jwks.keys.map(withoutSpiffeUse), trustAlgorithms, maxKeys);
        found.readAt = clock();
        return found.keys;
      }
      const isWanting =
        clock() - found.readAt > freshForMs || (kid !== undefined && !found.keys.some((key) => key.kid === kid));
      if (isWanting && clock() - found.triedAt > retryAfterMs) found.running ??= read(trust, found);
      await found.running;
      if (clock() - found.readAt > usableForMs) throw new IssuerUnavailable(trust.issuer);
      return found.keys;
    },
  };
}

/** The error if the keys of an issuer cannot be read. Never a negative answer, because the token may be valid. */
export class IssuerUnavailable extends KeyturnError {
  constructor(issuer: string) {
    super(
      'temporarily_unavailable',
      503,
      'Service unavailable: the keys of the issuer of this token cannot be read. Try again shortly.',
      { detail: `issuer: ${issuer}` },
    );
  }
}

/** Returns what identifies the source of keys. Trusts of several clients share what is read from it. */
export function sourceOf({ issuer, keys }: Pick<Trust, 'issuer' | 'keys'>): string {
  return JSON.stringify([keys.source, keys.source === 'jwks_uri' ? keys.jwksUri : issuer, keys.ca]);
}

async function fetchKeys(trust: Trust, settings: TrustSettings): Promise<readonly unknown[]> {
  const { issuer, keys } = trust;
  const isNamed = createRangeCheck(settings.trustNetworks);
  const options: OutsideOptions = {
    isAllowed: (address) => isPublicAddress(address) || isNamed(address),
    ...(keys.ca === null ? {} : { ca: keys.ca }),
  };
  if (keys.source === 'in_cluster') return await fetchFromCluster(settings);
  if (keys.source === 'jwks_uri') return keysIn(await fetchJson(keys.jwksUri ?? '', {}, options));
  // OpenID Connect Discovery §4.1: a slash at the end of the issuer is removed first.
  const metadata = await fetchJson(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, {}, options);
  // §4.3: another issuer's metadata could name its own keys.
  if (metadata['issuer'] !== issuer) throw new Error('the metadata is of another issuer');
  const { jwks_uri: uri } = metadata;
  if (typeof uri !== 'string') throw new Error('the metadata has no jwks_uri');
  return keysIn(await fetchJson(uri, {}, options));
}

/** Reads the keys of service accounts with the deployment's own account. The address is that of its configuration. */
async function fetchFromCluster({ clusterUrl = '', clusterFiles }: TrustSettings): Promise<readonly unknown[]> {
  const [ca, token] = await Promise.all(['ca.crt', 'token'].map((name) => readFile(join(clusterFiles, name), 'utf8')));
  const headers = { Authorization: `Bearer ${token?.trim()}` };
  const options = { isAllowed: () => true, ...(ca === undefined ? {} : { ca }) };
  return keysIn(await fetchJson(`${clusterUrl.replace(/\/$/, '')}/openid/v1/jwks`, headers, options));
}

async function fetchJson(
  url: string,
  headers: Readonly<Record<string, string>>,
  options: OutsideOptions,
): Promise<Record<string, unknown>> {
  const accept = 'application/json, application/jwk-set+json';
  const { status, text } = await fetchOutside(url, { headers: { Accept: accept, ...headers } }, options);
  if (status !== 200) throw new Error(`status ${status}`);
  const document: unknown = JSON.parse(text);
  if (typeof document !== 'object' || document === null) throw new Error('not a JSON object');
  return document as Record<string, unknown>;
}

function keysIn({ keys }: Record<string, unknown>): readonly unknown[] {
  if (!Array.isArray(keys)) throw new Error('not a JWK Set');
  return keys;
}

/** Returns a key of a SPIFFE bundle as one for signatures: its `use` is `jwt-svid` (SPIFFE Trust Domain and Bundle §4.2.2). */
export function withoutSpiffeUse(jwk: unknown): unknown {
  const members = (jwk ?? {}) as Record<string, unknown>;
  return members['use'] === 'jwt-svid' ? { ...members, use: undefined } : jwk;
}
