import { type Condition, isOfSpiffe, type Trust, trustDomainOf } from './trust.ts';

/** One rule of a trust, applied to a token. */
export type Check = {
  /** What was checked: `issuer`, `audience`, `expiry`, `issued_at`, `not_before`, `lifetime`, or `condition`. */
  check: string;
  /** The claim of a condition. */
  claim?: string;
  expected: string;
  /** What the token has; null if it has nothing. */
  found: string | null;
  isMet: boolean;
};

type Claims = Readonly<Record<string, unknown>>;

/** Seconds that the clock of an issuer may be ahead. */
const leewaySeconds = 10;
const maxShown = 300;

/**
 * Applies every rule of a trust to the claims of a token whose signature was verified. The token is accepted if all are
 * met.
 * @param now in seconds since 1970.
 */
export function checkToken(trust: Trust, claims: Claims, now: number): Check[] {
  const { exp, iat, nbf } = claims;
  const issuer = isOfSpiffe(trust) ? trustDomainOf(claims) : claims['iss'];
  const lifetime = typeof exp === 'number' ? exp - (typeof iat === 'number' ? iat : now) : undefined;
  return [
    { check: 'issuer', expected: trust.issuer, found: shown(issuer), isMet: issuer === trust.issuer },
    {
      check: 'audience',
      expected: trust.audience,
      found: shown(claims['aud']),
      isMet: isOnly(claims['aud'], trust.audience),
    },
    {
      check: 'expiry',
      expected: `after ${timeText(now)}`,
      found: shownTime(exp),
      isMet: typeof exp === 'number' && exp > now,
    },
    ...[
      { check: 'issued_at', date: iat },
      { check: 'not_before', date: nbf },
    ].flatMap(({ check, date }) =>
      date === undefined
        ? []
        : [
            {
              check,
              expected: `not after ${timeText(now)}`,
              found: shownTime(date),
              isMet: typeof date === 'number' && date <= now + leewaySeconds,
            },
          ],
    ),
    {
      check: 'lifetime',
      expected: `at most ${trust.maxLifetimeSeconds} seconds`,
      found: lifetime === undefined ? null : `${Math.ceil(lifetime)} seconds`,
      isMet: lifetime !== undefined && lifetime <= trust.maxLifetimeSeconds + leewaySeconds,
    },
    ...trust.conditions.map((condition) => checkCondition(condition, claims)),
  ];
}

/** Requires one audience: a token that is also for others could be used here by any of them. */
function isOnly(aud: unknown, audience: string): boolean {
  return Array.isArray(aud) ? aud.length === 1 && aud[0] === audience : aud === audience;
}

function checkCondition(condition: Condition, claims: Claims): Check {
  const value = claimAt(claims, condition.claim);
  // Numbers and booleans are compared as text; a list or an object meets no condition.
  const text = ['string', 'number', 'boolean'].includes(typeof value) ? String(value) : undefined;
  const { claim } = condition;
  return {
    check: 'condition',
    claim,
    expected: describeCondition(condition),
    found: shown(value),
    isMet: text !== undefined && isMetBy(condition, text),
  };
}

/** Describes what a condition expects, for people. */
function describeCondition({ equals, oneOf, prefix }: Condition): string {
  if (equals !== undefined) return equals;
  return oneOf === undefined ? `${prefix}… within one segment` : `one of ${oneOf.join(', ')}`;
}

function isMetBy({ equals, oneOf, prefix }: Condition, value: string): boolean {
  if (equals !== undefined) return value === equals;
  if (oneOf !== undefined) return oneOf.includes(value);
  // Without this limit, `refs/heads/release` would also accept `refs/heads/release/../main`, and other repositories.
  return value.startsWith(prefix) && !/[/:]/.test(value.slice(prefix.length));
}

/** Returns a claim by its name, or by a JSON Pointer. */
function claimAt(claims: Claims, claim: string): unknown {
  if (!claim.startsWith('/')) return Object.hasOwn(claims, claim) ? claims[claim] : undefined;
  let value: unknown = claims;
  for (const part of claim.slice(1).split('/')) {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~');
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, name))
      return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}

function shown(value: unknown): string | null {
  if (value === undefined || value === null) return null;
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > maxShown ? `${text.slice(0, maxShown).toWellFormed()}…` : text;
}

function shownTime(value: unknown): string | null {
  return typeof value === 'number' && Math.abs(value) < 8e12 ? timeText(value) : shown(value);
}

function timeText(seconds: number): string {
  return new Date(Math.floor(seconds) * 1_000).toISOString();
}
