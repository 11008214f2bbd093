/** A live access token, or a stand-alone access key: who presents it, and its permissions. */
export type AccessToken = {
  /** The client that the token was issued to (`client_id`); undefined for a stand-alone access key. */
  clientId: string | undefined;
  /** `sub`: the client itself (RFC 9068 §2.2), or the contact of a stand-alone access key. */
  subject: string;
  scope: readonly string[];
  /** The access key that the token was obtained with, or that stands alone, and that key's contact. */
  accessKeyId: string | undefined;
  contactId: string | undefined;
  /** The organization that the client belongs to; undefined if that is the deployment itself. */
  organizationId: string | undefined;
  jti: string | undefined;
  /** Seconds since 1970-01-01 UTC. */
  issuedAt: number;
  /** Seconds since 1970-01-01 UTC. `Infinity` for a stand-alone access key that does not expire. */
  expiresAt: number;
  /** Since when and until when a stand-alone access key is being replaced, in seconds since 1970-01-01 UTC. */
  retirement: { since: number; until: number } | undefined;
  /** What is left of the limit of a stand-alone access key. */
  rateLimit: RateLimit | undefined;
  /** All claims of the JWT or the introspection answer (RFC 7662 §2.2). */
  claims: Readonly<Record<string, unknown>>;
};

/** A limit of requests in a minute. @property resetSeconds the seconds until the minute ends. */
export type RateLimit = { limit: number; remaining: number; resetSeconds: number; exceeded: boolean };

/** @throws {TypeError} if the claims do not conform to RFC 7662 or RFC 9068. */
export function toAccessToken(claims: Readonly<Record<string, unknown>>): AccessToken {
  const { exp, iat } = claims;
  const clientId = optionalText(claims['client_id']);
  const isKey = clientId === undefined && optionalText(claims['access_key_id']) !== undefined;
  if (clientId === undefined && !isKey) throw new TypeError('client_id is missing');
  const expiresAt = isKey ? (exp ?? Number.POSITIVE_INFINITY) : exp;
  if (typeof expiresAt !== 'number') throw new TypeError('exp is missing');
  return {
    clientId,
    subject: optionalText(claims['sub']) ?? clientId ?? '',
    scope: (optionalText(claims['scope']) ?? '').split(' ').filter(Boolean),
    accessKeyId: optionalText(claims['access_key_id']),
    contactId: optionalText(claims['contact_id']),
    organizationId: optionalText(claims['organization_id']),
    jti: optionalText(claims['jti']),
    issuedAt: typeof iat === 'number' ? iat : 0,
    expiresAt,
    retirement: isKey ? readRetirement(claims['access_key_retirement']) : undefined,
    rateLimit: isKey ? readRateLimit(claims['rate_limit']) : undefined,
    claims,
  };
}

function readRetirement(member: unknown): AccessToken['retirement'] {
  const { since, until } = (member ?? {}) as Record<string, unknown>;
  return typeof since === 'number' && typeof until === 'number' ? { since, until } : undefined;
}

function readRateLimit(member: unknown): RateLimit | undefined {
  const { limit, remaining, reset, exceeded } = (member ?? {}) as Record<string, unknown>;
  if (typeof limit !== 'number' || typeof remaining !== 'number' || typeof reset !== 'number') return undefined;
  return { limit, remaining, resetSeconds: reset, exceeded: exceeded === true };
}

/**
 * Returns the headers that tell the caller about its stand-alone access key: `RateLimit-…` with what is left of its
 * limit, and `Deprecation` (RFC 9745) and `Sunset` (RFC 8594) while it is being replaced. Empty for any other token.
 */
export function responseHeadersOf({ rateLimit, retirement }: Pick<AccessToken, 'rateLimit' | 'retirement'>) {
  const headers: Record<string, string> = {};
  if (rateLimit) {
    headers['RateLimit-Limit'] = String(rateLimit.limit);
    headers['RateLimit-Remaining'] = String(rateLimit.remaining);
    headers['RateLimit-Reset'] = String(rateLimit.resetSeconds);
  }
  if (retirement) {
    headers['Deprecation'] = `@${retirement.since}`;
    headers['Sunset'] = new Date(retirement.until * 1_000).toUTCString();
  }
  return headers;
}

function optionalText(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/**
 * Error codes of RFC 6750 §3.1 and RFC 9449 §7 and §9, `too_many_requests` for an exceeded limit of an access key, and
 * `temporarily_unavailable` for an unreachable authorization server.
 */
export type AccessTokenErrorCode =
  | 'missing_token'
  | 'invalid_request'
  | 'invalid_token'
  | 'invalid_dpop_proof'
  | 'use_dpop_nonce'
  | 'insufficient_scope'
  | 'too_many_requests'
  | 'temporarily_unavailable';

const statuses: Record<AccessTokenErrorCode, number> = {
  missing_token: 401,
  invalid_request: 400,
  invalid_token: 401,
  invalid_dpop_proof: 401,
  use_dpop_nonce: 401,
  insufficient_scope: 403,
  too_many_requests: 429,
  temporarily_unavailable: 503,
};

/** The members of a `WWW-Authenticate` challenge that describe the resource server. */
type Challenge = {
  /** The scheme of the rejected request; Bearer if it had none. */
  scheme: 'Bearer' | 'DPoP';
  /** Accepted signature algorithms of DPoP proofs (RFC 9449 §7.1). */
  dpopAlgorithms: readonly string[];
  /** Nonce for the next proof (RFC 9449 §9). */
  dpopNonce: string | undefined;
  /** URL of the resource server's metadata (RFC 9728 §5.1). */
  resourceMetadata: string | undefined;
};

/** The error for a rejected request, with everything that its answer needs. */
export class AccessTokenError extends Error {
  readonly code: AccessTokenErrorCode;
  /** 400, 401, 403, 429 or 503. */
  readonly status: number;
  /** The required scopes, with `insufficient_scope`. */
  readonly scope: readonly string[];
  /** The limit that was exceeded, with `too_many_requests`. */
  readonly rateLimit: RateLimit | undefined;
  #challenge: Challenge = { scheme: 'Bearer', dpopAlgorithms: [], dpopNonce: undefined, resourceMetadata: undefined };

  constructor(
    code: AccessTokenErrorCode,
    message: string,
    {
      scope = [],
      rateLimit,
      cause,
    }: { scope?: readonly string[]; rateLimit?: RateLimit | undefined; cause?: unknown } = {},
  ) {
    super(message, { cause });
    this.name = 'AccessTokenError';
    this.code = code;
    this.status = statuses[code];
    this.scope = scope;
    this.rateLimit = rateLimit;
  }

  /** Adds the challenge of one resource server. Returns this error. */
  withChallenge(challenge: Partial<Challenge>): this {
    this.#challenge = { ...this.#challenge, ...challenge };
    return this;
  }

  /** Returns the headers of the answer: `WWW-Authenticate` (RFC 6750 §3, RFC 9449 §7.1), or `Retry-After` and `RateLimit-…`. */
  get headers(): Record<string, string> {
    const { rateLimit } = this;
    if (rateLimit) {
      const limits = responseHeadersOf({ rateLimit, retirement: undefined });
      return { ...limits, 'Retry-After': String(rateLimit.resetSeconds), 'Cache-Control': 'no-store' };
    }
    if (this.status === 503) return { 'Retry-After': '1', 'Cache-Control': 'no-store' };
    const { dpopNonce } = this.#challenge;
    return {
      'WWW-Authenticate': this.#challenges().join(', '),
      'Cache-Control': 'no-store',
      ...(dpopNonce === undefined ? {} : { 'DPoP-Nonce': dpopNonce }),
    };
  }

  /** Returns the JSON body of the answer. */
  get body(): { error: string; error_description: string } {
    return { error: this.code === 'missing_token' ? 'invalid_token' : this.code, error_description: this.message };
  }

  #challenges(): string[] {
    const { scheme, dpopAlgorithms, resourceMetadata } = this.#challenge;
    const algs: Parameter[] = dpopAlgorithms.length > 0 ? [['algs', dpopAlgorithms.join(' ')]] : [];
    const metadata: Parameter[] = resourceMetadata === undefined ? [] : [['resource_metadata', resourceMetadata]];
    // RFC 6750 §3.1: the challenge for a request without a token contains no error code.
    if (this.code === 'missing_token') {
      const dpop = algs.length > 0 ? [present('DPoP', [...algs, ...metadata])] : [];
      return [present('Bearer', metadata), ...dpop];
    }
    const scope: Parameter[] = this.scope.length > 0 ? [['scope', this.scope.join(' ')]] : [];
    const wrong: Parameter[] = [['error', this.code], ['error_description', this.message], ...scope];
    if (scheme === 'DPoP') return [present('DPoP', [...wrong, ...algs, ...metadata])];
    // A token that is bound to a key may have been sent as a bearer token (RFC 9449 §7.2), so offer DPoP too.
    const other = this.code === 'invalid_token' && algs.length > 0 ? [present('DPoP', algs)] : [];
    return [present('Bearer', [...wrong, ...metadata]), ...other];
  }
}

type Parameter = [name: string, value: string];

function present(scheme: string, parameters: readonly Parameter[]): string {
  return `${scheme} ${parameters.map(([name, value]) => `${name}="${value}"`).join(', ')}`.trimEnd();
}
