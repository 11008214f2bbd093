import type { ClientJwks } from '../clients/verification-key.ts';

/** A condition on a claim of a token. */
export type Condition = {
  /** The name of a claim at the top, or a JSON Pointer to a claim inside of others (RFC 6901). */
  claim: string;
} & (
  | { equals: string; oneOf?: undefined; prefix?: undefined }
  | { oneOf: readonly string[]; equals?: undefined; prefix?: undefined }
  /** The value begins with it, and continues without `/` and `:`, so that it stays within one segment of a path. */
  | { prefix: string; equals?: undefined; oneOf?: undefined }
);

/** Where the public keys of an issuer are. */
export type TrustKeys = {
  /**
   * `discovery`: where the metadata of the issuer says. `jwks_uri`: at a URL. `jwks`: in the trust itself. `in_cluster`: at
   * the API of the Kubernetes cluster that the deployment names.
   */
  source: 'discovery' | 'jwks_uri' | 'jwks' | 'in_cluster';
  jwks: ClientJwks | null;
  jwksUri: string | null;
  /** Trusted CAs of the issuer in PEM; null for those that Node.js trusts. */
  ca: string | null;
};

export const presetNames = ['custom', 'github', 'gitlab', 'kubernetes', 'google', 'aws', 'azure', 'spiffe'] as const;
export type PresetName = (typeof presetNames)[number];

/** An issuer whose tokens stand for a client, if they meet the conditions: a workload identity. */
export type Trust = {
  id: string;
  /** The client's id. */
  client: string;
  /** The current Client ID of the client. */
  clientId: string;
  clientName: string;
  name: string;
  preset: PresetName;
  /** `iss` of the tokens; for SPIFFE `spiffe://` and the trust domain. */
  issuer: string;
  /** The only `aud` of the tokens. */
  audience: string;
  keys: TrustKeys;
  conditions: readonly Condition[];
  /** Maximum time from `iat` to `exp`, in seconds. */
  maxLifetimeSeconds: number;
  enabled: boolean;
  revision: number;
  createdAt: Date;
  updatedAt: Date;
};

/** The name of the credential of clients that authenticate with workload identities. */
export const workloadIdentity = 'workload_identity';

/** Returns which issuers a token can be of: its `iss`, and the trust domain of a SPIFFE ID (JWT-SVID §3.1). */
export function issuersOf(claims: Readonly<Record<string, unknown>>): string[] {
  const { iss } = claims;
  const domain = trustDomainOf(claims);
  return [...(typeof iss === 'string' ? [iss] : []), ...(domain === undefined ? [] : [domain])];
}

/** Returns `spiffe://` and the trust domain of the SPIFFE ID of a token, or undefined if it has none. */
export function trustDomainOf({ sub }: Readonly<Record<string, unknown>>): string | undefined {
  return typeof sub === 'string' ? /^(spiffe:\/\/[a-z0-9._-]{1,255})\/./.exec(sub)?.[1] : undefined;
}

/** Returns whether the issuer of a trust is a SPIFFE trust domain, of which the `iss` of tokens says nothing. */
export function isOfSpiffe({ issuer }: Pick<Trust, 'issuer'>): boolean {
  return issuer.startsWith('spiffe://');
}
