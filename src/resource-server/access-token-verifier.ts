import { type AccessToken, AccessTokenError } from './access-token.ts';
import { createDpopProofs, dpopAlgorithms } from './dpop.ts';
import {
  isAccessKey,
  type PresentedToken,
  type ReceivedRequest,
  type RequestLike,
  readPresentedToken,
  receiveRequest,
} from './received-request.ts';
import { requireBinding } from './token-binding.ts';
import { createTokenExaminer, IntrospectionUnavailable, introspect, type RequestContext } from './token-examiner.ts';

export type VerifierOptions = {
  /** The authorization server's issuer identifier. */
  issuer: string;
  /** This resource server's identifier, as registered (RFC 8707). */
  resource: string;
  clientId: string;
  clientSecret: string;
  /**
   * Behaviour while the authorization server cannot be reached: answer 503 (`closed`, the default), or use the last
   * known answer for up to `staleSeconds`.
   */
  failure?: 'closed' | { staleSeconds: number };
  /** Maximum number of cached answers. Default 10,000. */
  maxCachedTokens?: number;
  /**
   * Whether to follow the server's events, which end cached answers at once. Default true. Without events, an
   * introspection answer is cached for 10 s, and a JWT is accepted until it expires.
   */
  events?: boolean;
  /** Time limit of an introspection in milliseconds. Default 2,000. */
  timeoutMs?: number;
  /** Accepted signature algorithms of JWTs. */
  algorithms?: readonly string[];
  /**
   * Whether to accept JWTs with the header `typ: JWT` besides `at+jwt`, for a resource server that is registered with
   * `token_typ` `JWT`. Default false. The claims of an access token are required in either case.
   */
  acceptTypJwt?: boolean;
  /**
   * Groups of scopes that are names of one permission, as this resource server declares them: a token with one of the
   * names has all of them. Default: none.
   */
  scopeAliases?: readonly (readonly string[])[];
  /**
   * The URL under which callers reach this API, which DPoP proofs contain (`htu`). Default: the origin of `resource`.
   */
  publicUrl?: string;
  /**
   * Returns the client certificate of a request, for tokens that are bound to one (RFC 8705), as DER, PEM (also
   * percent-encoded), base64, or in the form of RFC 9440. Default: the certificate of the TLS connection. Read it from
   * a header only if your proxy overwrites that header.
   */
  clientCertificate?: (request: ReceivedRequest) => Uint8Array | string | undefined;
  /**
   * Whether access keys that stand alone are accepted, as a bearer token or in the header `X-API-Key`. Default false. Such
   * a request has no client.
   */
  standaloneKeys?: boolean;
  /**
   * Returns the IP address that a request came from, which stand-alone access keys may be limited to. Default: the address
   * of the connection. Behind a proxy, return the address that the proxy reports.
   */
  clientAddress?: (request: ReceivedRequest) => string | undefined;
  /** Requires a nonce in DPoP proofs (RFC 9449 §9), derived from this secret. Use the same value in all processes. */
  dpopNonceKey?: string;
  /** Maximum number of remembered DPoP proofs, which makes each proof usable once in this process. Default 100,000. */
  maxDpopProofs?: number;
  fetch?: typeof globalThis.fetch;
};

export type VerifyOptions = {
  /** The access key that came with this request, if your API accepts one. */
  accessKey?: string | undefined;
  /** The scopes that this request requires, all of them. */
  scope?: string | readonly string[] | undefined;
};

export type AccessTokenVerifier = {
  /**
   * Returns the live access token of a request, or of a token value.
   * @throws {AccessTokenError} with the answer to send: 400, 401, 403, 429 or 503.
   */
  verify(requestOrToken: RequestLike | string, options?: VerifyOptions): Promise<AccessToken>;
  /** This resource server's metadata document (RFC 9728 §2). */
  readonly metadata: Readonly<Record<string, unknown>>;
  /** The path under which callers look for the metadata (RFC 9728 §3.1). */
  readonly metadataPath: string;
  /**
   * Value of the `DPoP-Nonce` header for an answer to a DPoP request (RFC 9449 §9); undefined without `dpopNonceKey`.
   */
  dpopNonce(): string | undefined;
  /** Stops following events. */
  close(): void;
};

const jwtAlgorithms = ['ES256', 'EdDSA', 'Ed25519', 'PS256', 'RS256'];

/** Creates a verifier for the access tokens of requests to one resource server. JWTs are verified locally. */
export function createAccessTokenVerifier(options: VerifierOptions): AccessTokenVerifier {
  const { resource, failure = 'closed', dpopNonceKey, maxDpopProofs = 100_000 } = options;
  const { standaloneKeys = false, clientAddress = addressOfConnection } = options;
  const asked = {
    issuer: options.issuer.replace(/\/$/, ''),
    clientId: options.clientId,
    clientSecret: options.clientSecret,
    fetch: options.fetch ?? globalThis.fetch,
    timeoutMs: options.timeoutMs ?? 2_000,
  };
  const examiner = createTokenExaminer({
    ...asked,
    resource,
    staleMs: failure === 'closed' ? 0 : failure.staleSeconds * 1_000,
    maxCachedTokens: options.maxCachedTokens ?? 10_000,
    followsEvents: options.events !== false,
    algorithms: options.algorithms ?? jwtAlgorithms,
    acceptTypJwt: options.acceptTypJwt ?? false,
  });
  const proofs = createDpopProofs({ nonceKey: dpopNonceKey, maxProofs: maxDpopProofs });
  const usedScopes = createUsedScopeReports();
  // RFC 9728 §1.2: only an http or https URL has a location for metadata and can be a request's target.
  const web = /^https?:/.test(resource) ? new URL(resource) : undefined;
  const metadataPath = `/.well-known/oauth-protected-resource${web && web.pathname !== '/' ? web.pathname : ''}`;
  const binding = {
    proofs,
    publicUrl: (options.publicUrl ?? web?.origin)?.replace(/\/$/, ''),
    clientCertificate: options.clientCertificate,
  };

  function namesOf(scope: string): readonly string[] {
    return options.scopeAliases?.find((names) => names.includes(scope)) ?? [scope];
  }

  /** Only a stand-alone key depends on the address, so that answers for other tokens are cached once. */
  function contextOf(token: string, request: ReceivedRequest | undefined, accessKey: string | undefined) {
    const isKey = standaloneKeys && isAccessKey(token);
    return { accessKey, address: request && isKey ? clientAddress(request) : undefined };
  }

  async function examine(token: string, context: RequestContext): Promise<AccessToken> {
    try {
      const found = standaloneKeys || !isAccessKey(token) ? await examiner.examine(token, context) : undefined;
      if (found) return found;
    } catch (error) {
      if (!(error instanceof IntrospectionUnavailable)) throw error;
      throw new AccessTokenError(
        'temporarily_unavailable',
        'The access token cannot be checked, because the authorization server cannot be reached. Try again shortly.',
        { cause: error },
      );
    }
    throw new AccessTokenError('invalid_token', 'The access token is not valid.');
  }

  async function check(
    presented: PresentedToken,
    request: ReceivedRequest | undefined,
    { accessKey, scope = [] }: VerifyOptions,
  ): Promise<AccessToken> {
    const { token } = presented;
    const context = contextOf(token, request, accessKey);
    const found = await examine(token, context);
    if (found.claims['cnf'] !== undefined || presented.scheme === 'DPoP') {
      await requireBinding(binding, found, presented, request);
    }
    if (found.rateLimit?.exceeded) {
      throw new AccessTokenError('too_many_requests', 'The access key has reached its limit of requests in a minute.', {
        rateLimit: found.rateLimit,
      });
    }
    const needed = typeof scope === 'string' ? [scope] : scope;
    if (!needed.every((item) => namesOf(item).some((name) => found.scope.includes(name)))) {
      throw new AccessTokenError('insufficient_scope', 'The access token does not have the required scope.', {
        scope: needed,
      });
    }
    usedScopes.note(found, needed, (usedScope) => introspect(asked, token, { ...context, usedScope }));
    return found;
  }

  function challenge(error: unknown, scheme: PresentedToken['scheme'] = 'Bearer'): unknown {
    if (!(error instanceof AccessTokenError)) return error;
    return error.withChallenge({
      scheme,
      dpopAlgorithms,
      dpopNonce: scheme === 'DPoP' ? proofs.nonce() : undefined,
      resourceMetadata: web && web.origin + metadataPath,
    });
  }

  return {
    verify: async (requestOrToken, needs = {}) => {
      let presented: PresentedToken | undefined;
      try {
        if (typeof requestOrToken === 'string') {
          return await check({ scheme: 'Bearer', token: requestOrToken }, undefined, needs);
        }
        const request = receiveRequest(requestOrToken);
        presented = readPresentedToken(request, { standaloneKeys });
        return await check(presented, request, needs);
      } catch (error) {
        throw challenge(error, presented?.scheme);
      }
    },
    metadata: {
      resource,
      authorization_servers: [asked.issuer],
      bearer_methods_supported: ['header'],
      dpop_signing_alg_values_supported: dpopAlgorithms,
      tls_client_certificate_bound_access_tokens: true,
    },
    metadataPath,
    dpopNonce: proofs.nonce,
    close: examiner.close,
  };
}

function addressOfConnection({ socket }: ReceivedRequest): string | undefined {
  const { remoteAddress } = (socket ?? {}) as { remoteAddress?: unknown };
  return typeof remoteAddress === 'string' ? remoteAddress : undefined;
}

/** Reports which scopes access keys were used for, so that operators see granted scopes that are never used. */
type UsedScopeReports = {
  /** Call it for every accepted request. Reports each key and scope once an hour, in the background. */
  note(found: AccessToken, scope: readonly string[], tell: (scope: readonly string[]) => Promise<unknown>): void;
};

const everyMs = 3_600_000;
const againAfterFailureMs = 60_000;
/** Maximum number of remembered pairs of key and scope; beyond it, the oldest are reported again. */
const maxKnown = 50_000;

function createUsedScopeReports(): UsedScopeReports {
  const nextAt = new Map<string, number>();

  function postpone(pairs: readonly string[], until: number): void {
    for (const pair of pairs) {
      nextAt.delete(pair);
      nextAt.set(pair, until);
    }
    while (nextAt.size > maxKnown) nextAt.delete(nextAt.keys().next().value as string);
  }

  return {
    note: ({ accessKeyId }, scope, tell) => {
      if (accessKeyId === undefined || scope.length === 0) return;
      const now = performance.now();
      const due = scope.filter((item) => now >= (nextAt.get(`${accessKeyId} ${item}`) ?? Number.NEGATIVE_INFINITY));
      if (due.length === 0) return;
      const pairs = due.map((item) => `${accessKeyId} ${item}`);
      postpone(pairs, now + everyMs);
      tell(due).catch(() => postpone(pairs, now + againAfterFailureMs));
    },
  };
}
