import { type AccessToken, AccessTokenError, responseHeadersOf } from './access-token.ts';
import type { AccessTokenVerifier } from './access-token-verifier.ts';
import type { RequestLike } from './received-request.ts';

/** Requirements of a route. `accessKeyFrom` reads the access key of a request, if your API accepts one. */
export type BearerAuthOptions<R = RequestLike> = {
  scope?: string | readonly string[];
  accessKeyFrom?: (request: R) => string | undefined;
};

// Declare only the members that are used, so that no framework is a dependency and any version of it works.
type KoaContext = {
  req: RequestLike;
  originalUrl: string;
  state: Record<string, unknown>;
  status: number;
  body: unknown;
  set(headers: Record<string, string>): void;
};
type ExpressRequest = RequestLike & { accessToken?: AccessToken };
type ExpressResponse = {
  status(code: number): ExpressResponse;
  set(headers: Record<string, string>): ExpressResponse;
  json(body: unknown): unknown;
};
type FastifyRequest = RequestLike & { accessToken?: AccessToken };
type FastifyReply = {
  code(code: number): FastifyReply;
  headers(headers: Record<string, string>): FastifyReply;
  send(body: unknown): unknown;
};

/** Koa middleware. Sets `ctx.state.accessToken`. */
export function koaBearerAuth(verifier: AccessTokenVerifier, options: BearerAuthOptions = {}) {
  return async (ctx: KoaContext, next: () => Promise<unknown>): Promise<void> => {
    const { headers, method, socket } = ctx.req;
    const result = await authenticate(verifier, { headers, method, socket, url: ctx.originalUrl }, options);
    ctx.set(result.headers);
    if (result.refusal) {
      ctx.status = result.refusal.status;
      ctx.body = result.refusal.body;
      return;
    }
    ctx.state['accessToken'] = result.token;
    await next();
  };
}

/** Express middleware. Sets `request.accessToken`. */
export function expressBearerAuth(verifier: AccessTokenVerifier, options: BearerAuthOptions<ExpressRequest> = {}) {
  return async (request: ExpressRequest, response: ExpressResponse, next: (error?: unknown) => void): Promise<void> => {
    try {
      const result = await authenticate(verifier, request, options);
      response.set(result.headers);
      if (result.refusal) {
        response.status(result.refusal.status).json(result.refusal.body);
        return;
      }
      request.accessToken = result.token;
    } catch (error) {
      next(error);
      return;
    }
    next();
  };
}

/** Fastify `preHandler` or `onRequest` hook. Sets `request.accessToken`. */
export function fastifyBearerAuth(verifier: AccessTokenVerifier, options: BearerAuthOptions<FastifyRequest> = {}) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<unknown> => {
    const result = await authenticate(verifier, request, options);
    reply.headers(result.headers);
    if (result.refusal) return reply.code(result.refusal.status).send(result.refusal.body);
    request.accessToken = result.token;
    return undefined;
  };
}

/**
 * Authenticates a request of a server based on fetch's `Request` and `Response`. Returns the access token, or the
 * response to send.
 * @example const auth = await fetchBearerAuth(verifier, request); if (auth instanceof Response) return auth;
 */
export async function fetchBearerAuth(
  verifier: AccessTokenVerifier,
  request: Request,
  options: BearerAuthOptions<Request> = {},
): Promise<AccessToken | Response> {
  const { token, refusal, headers } = await authenticate(verifier, request, options);
  return refusal ? Response.json(refusal.body, { status: refusal.status, headers }) : token;
}

/** Returns a fetch handler for the protected resource metadata (RFC 9728 §3). */
export function protectedResourceMetadata(verifier: AccessTokenVerifier): () => Response {
  return () => Response.json(verifier.metadata, { headers: { 'Cache-Control': 'public, max-age=300' } });
}

/** The result of a check. @property headers headers to set on the answer in any case. */
type Result = { headers: Record<string, string> } & (
  | { token: AccessToken; refusal?: undefined }
  | { token?: undefined; refusal: AccessTokenError }
);

async function authenticate<R extends RequestLike>(
  verifier: AccessTokenVerifier,
  request: R,
  { scope, accessKeyFrom }: BearerAuthOptions<R>,
): Promise<Result> {
  try {
    const token = await verifier.verify(request, { scope, accessKey: accessKeyFrom?.(request) });
    // Send the next nonce with each answer to a DPoP request (RFC 9449 §8.2), so that no request fails for lack of one.
    const nonce = token.claims['cnf'] === undefined ? undefined : verifier.dpopNonce();
    return { token, headers: nonce === undefined ? responseHeadersOf(token) : { 'DPoP-Nonce': nonce } };
  } catch (error) {
    if (error instanceof AccessTokenError) return { refusal: error, headers: error.headers };
    throw error;
  }
}
