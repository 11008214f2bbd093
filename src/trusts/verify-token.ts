import { decodeJwt, decodeProtectedHeader, type JWTPayload, type ProtectedHeaderParameters } from 'jose';
import { isSignedWith } from '../credentials/jws-signature.ts';
import { type Check, checkToken } from './check-token.ts';
import { issuersOf, type Trust } from './trust.ts';
import { IssuerUnavailable, sourceOf, type TrustKeyring, trustAlgorithms } from './trust-keys.ts';

/** A token of a workload that was read, and not verified. */
export type WorkloadToken = { token: string; header: ProtectedHeaderParameters; claims: JWTPayload };

const maxLength = 8 * 1024;
/** Maximum number of different places of keys that are tried for one token. */
const maxSources = 5;
/** Maximum number of keys that a signature is checked with for each of them. */
const maxKeys = 5;

/** Reads a token without verifying it. Returns undefined if it is not a signed JWT that names an issuer. */
export function readWorkloadToken(token: string): WorkloadToken | undefined {
  if (token.length > maxLength || !/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) return undefined;
  try {
    const claims = decodeJwt(token);
    return issuersOf(claims).length > 0 ? { token, header: decodeProtectedHeader(token), claims } : undefined;
  } catch {
    return undefined;
  }
}

/** Why a token is refused before any claim is compared, or undefined if its header can be accepted. */
export type HeaderProblem = 'header' | 'type' | 'algorithm';

export function problemOfHeader(header: ProtectedHeaderParameters): HeaderProblem | undefined {
  if (header.crit !== undefined || 'b64' in header) return 'header';
  // Reject access tokens and all JWTs that say that they are something else (RFC 8725 §3.11).
  if (header.typ !== undefined && !/^((application\/)?jwt|jose)$/i.test(header.typ)) return 'type';
  return trustAlgorithms.some((alg) => alg === header.alg) ? undefined : 'algorithm';
}

/** A trust with the result of its rules for a token that one of its keys has signed. */
export type JudgedTrust = { trust: Trust; checks: readonly Check[]; isMet: boolean; kid: string | null };

/**
 * Verifies the signature of a token with the keys of these trusts, and applies the rules of those whose key has signed it.
 * Keys come only from the trusts: `jku`, `jwk` and `x5u` of the token are ignored.
 * @param trusts of its issuer. Their keys are tried in this order.
 * @param now in seconds since 1970.
 * @returns an empty list if no key has signed the token.
 * @throws {IssuerUnavailable} if keys cannot be read, and no others have signed it.
 */
export async function judgeTrusts(
  keyring: TrustKeyring,
  trusts: readonly Trust[],
  workloadToken: WorkloadToken,
  now: number,
): Promise<JudgedTrust[]> {
  const bySource = Map.groupBy(trusts, sourceKeyOf);
  const judged: JudgedTrust[] = [];
  let unavailable: IssuerUnavailable | undefined;
  for (const sharing of [...bySource.values()].slice(0, maxSources)) {
    const [first] = sharing as [Trust, ...Trust[]];
    try {
      if (!(await isSignedBy(keyring, first, workloadToken))) continue;
      const { header, claims } = workloadToken;
      for (const trust of sharing) {
        const checks = checkToken(trust, claims, now);
        judged.push({ trust, checks, isMet: checks.every(({ isMet }) => isMet), kid: header.kid ?? null });
      }
    } catch (error) {
      if (!(error instanceof IssuerUnavailable)) throw error;
      unavailable = error;
    }
  }
  if (judged.length === 0 && unavailable) throw unavailable;
  return judged;
}

/** Trusts with registered keys share them with no other trust. */
function sourceKeyOf(trust: Trust): string {
  return trust.keys.source === 'jwks' ? trust.id : sourceOf(trust);
}

/** Returns whether a key of this trust has signed a token. The claims are compared by the caller. */
async function isSignedBy(keyring: TrustKeyring, trust: Trust, { token, header }: WorkloadToken): Promise<boolean> {
  const kid = typeof header.kid === 'string' ? header.kid : undefined;
  const alg = trustAlgorithms.find((each) => each === header.alg);
  const keys = await keyring.find(trust, kid);
  const candidates = keys.filter(
    (key) => alg && key.algs.includes(alg) && (kid === undefined || key.kid === undefined || key.kid === kid),
  );
  return candidates.slice(0, maxKeys).some(({ key }) => alg && isSignedWith(alg, key, token));
}
