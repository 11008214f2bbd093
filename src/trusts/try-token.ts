import type { Check } from './check-token.ts';
import { issuersOf, type Trust } from './trust.ts';
import type { TrustKeyring } from './trust-keys.ts';
import { IssuerUnavailable } from './trust-keys.ts';
import { judgeTrusts, problemOfHeader, readWorkloadToken } from './verify-token.ts';

/** What a token would be accepted as, and every rule that was applied. Contains no part of the signature. */
export type Trial = {
  /** Whether a trust accepts the token. */
  isAccepted: boolean;
  /** The reason why no trust was compared, or null if trusts were. */
  problem: string | null;
  header: { alg: string | null; kid: string | null; typ: string | null };
  issuer: string | null;
  issuedAt: Date | null;
  expiresAt: Date | null;
  trusts: { trust: Trust; isAccepted: boolean; checks: readonly Check[] }[];
};

const problems = {
  header: 'The header of the token has an extension (crit or b64), which is not accepted.',
  type: 'The type of the token (typ) is not that of a plain JWT. An access token is not a workload identity.',
  algorithm: 'The token is signed with an algorithm that is not accepted. Accepted: RS256, PS256, ES256 and EdDSA.',
};

/**
 * Tries a token: says for each trust which rule is met and which is not. Stores nothing, and fetches only keys of
 * configured issuers.
 * @param trustsOf returns the trusts of an issuer that the operator may see.
 * @param now in seconds since 1970.
 */
export async function tryToken(
  deps: { keyring: TrustKeyring; trustsOf(issuer: string): Promise<readonly Trust[]> },
  token: string,
  now: number,
): Promise<Trial> {
  const read = readWorkloadToken(token.trim());
  if (!read) {
    const problem = 'This is not a signed JWT that names an issuer (iss), or it is longer than 8 KiB.';
    const header = { alg: null, kid: null, typ: null };
    return { isAccepted: false, problem, header, issuer: null, issuedAt: null, expiresAt: null, trusts: [] };
  }
  const { header, claims } = read;
  const issuers = issuersOf(claims);
  const shown: Omit<Trial, 'isAccepted' | 'problem' | 'trusts'> = {
    header: { alg: textOf(header.alg), kid: textOf(header.kid), typ: textOf(header.typ) },
    issuer: textOf(issuers[0]),
    issuedAt: dateOf(claims.iat),
    expiresAt: dateOf(claims.exp),
  };
  const refused = (problem: string): Trial => ({ isAccepted: false, problem, ...shown, trusts: [] });
  const wrongHeader = problemOfHeader(header);
  if (wrongHeader) return refused(problems[wrongHeader]);
  const trusts = (await Promise.all(issuers.map(deps.trustsOf))).flat();
  if (trusts.length === 0) {
    return refused('No enabled trust has the issuer of this token. It is compared exactly, also a slash at the end.');
  }
  try {
    const judged = await judgeTrusts(deps.keyring, trusts, read, now);
    if (judged.length === 0) {
      return refused(
        'No key of the issuer has signed this token: it was changed, signed by somebody else, or with a key that the issuer no longer publishes.',
      );
    }
    const tried = judged.map(({ trust, isMet, checks }) => ({ trust, isAccepted: isMet, checks }));
    return { isAccepted: tried.some(({ isAccepted }) => isAccepted), problem: null, ...shown, trusts: tried };
  } catch (error) {
    if (!(error instanceof IssuerUnavailable)) throw error;
    return refused('The keys of the issuer cannot be read now. The log says why. Token requests get 503.');
  }
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value.slice(0, 300).toWellFormed() : null;
}

function dateOf(seconds: unknown): Date | null {
  return typeof seconds === 'number' && Math.abs(seconds) < 8e12 ? new Date(seconds * 1_000) : null;
}
