import type { AccessToken } from './access-token.ts';
import { AccessTokenError } from './access-token-error.ts';
import type { AccessTokenVerifier, RequestLike, VerifyOptions } from './access-token-verifier.ts';

/** What a route needs. `accessKeyFrom` reads the access key of a request, if yours bring one with each. */
export type BearerAuthOptions<R = RequestLike> = {
  scope?: string | readonly string[];
  accessKeyFrom?: (request: R) => string | undefined;
};

// Only the members that are used, so that no framework is a dependency, and any version of it will do.
type KoaContext = {
  req: RequestLike;
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

/** Koa middleware: the access token is at `ctx.state.accessToken`. */
export function koaBearerAuth(verifier: AccessTokenVerifier, options: BearerAuthOptions = {}) {
  return async (ctx: KoaContext, next: () => Promise<unknown>): Promise<void> => {
    const result = await authenticateRequest(verifier, ctx.req, options);
    if (result instanceof AccessTokenError) {
      ctx.status = result.status;
      ctx.set(result.headers);
      ctx.body = result.body;
      return;
    }
    ctx.state['accessToken'] = result;
    await next();
  };
}

/** Express middleware: the access token is at `request.accessToken`. */
export function expressBearerAuth(verifier: AccessTokenVerifier, options: BearerAuthOptions<ExpressRequest> = {}) {
  return async (request: ExpressRequest, response: ExpressResponse, next: (error?: unknown) => void): Promise<void> => {
    try {
      const result = await authenticateRequest(verifier, request, options);
      if (result instanceof AccessTokenError) {
        response.status(result.status).set(result.headers).json(result.body);
        return;
      }
      request.accessToken = result;
    } catch (error) {
      next(error);
      return;
    }
    next();
  };
}

/** Fastify `preHandler` or `onRequest` hook: the access token is at `request.accessToken`. */
export function fastifyBearerAuth(verifier: AccessTokenVerifier, options: BearerAuthOptions<FastifyRequest> = {}) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<unknown> => {
    const result = await authenticateRequest(verifier, request, options);
    if (result instanceof AccessTokenError) {
      return reply.code(result.status).headers(result.headers).send(result.body);
    }
    request.accessToken = result;
    return undefined;
  };
}

/**
 * For whatever speaks fetch's `Request` and `Response`: the access token, or the response to answer with.
 * @example const auth = await fetchBearerAuth(verifier, request); if (auth instanceof Response) return auth;
 */
export async function fetchBearerAuth(
  verifier: AccessTokenVerifier,
  request: Request,
  options: BearerAuthOptions<Request> = {},
): Promise<AccessToken | Response> {
  const result = await authenticateRequest(verifier, request, options);
  if (!(result instanceof AccessTokenError)) return result;
  return Response.json(result.body, { status: result.status, headers: result.headers });
}

/** The protected resource metadata of this resource server (RFC 9728 §3), as a fetch handler. */
export function protectedResourceMetadata(verifier: AccessTokenVerifier): () => Response {
  return () => Response.json(verifier.metadata, { headers: { 'Cache-Control': 'public, max-age=300' } });
}

async function authenticateRequest<R extends RequestLike>(
  verifier: AccessTokenVerifier,
  request: R,
  { scope, accessKeyFrom }: BearerAuthOptions<R>,
): Promise<AccessToken | AccessTokenError> {
  const needs: VerifyOptions = { scope, accessKey: accessKeyFrom?.(request) };
  try {
    return await verifier.verify(request, needs);
  } catch (error) {
    if (error instanceof AccessTokenError) return error;
    throw error;
  }
}
