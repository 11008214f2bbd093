import type { IncomingMessage, RequestListener } from 'node:http';
import type { Context, Next } from 'koa';
import type { Core } from '../core.ts';
import { KeyturnError } from '../errors.ts';
import { createAddressReader } from '../http/client-address.ts';
import { serveHealth } from '../http/health-endpoints.ts';
import { createHostCheck, normalize } from '../http/normalize-request.ts';
import { shedLoad } from '../http/overload.ts';
import { isPublicPath, publicRoutes } from '../http/public-routes.ts';
import { createRequestIds, strictTransport } from '../http/response-headers.ts';
import { createProxyAlarm } from '../http/trusted-proxies.ts';
import { logAccess } from './access-log.ts';
import { hiddenErrorOf, hideDialects, requireDialects } from './admit-dialects.ts';
import { announceRetirement } from './announce-retirement.ts';
import { createCertificateReader } from './certificate-reader.ts';
import { authenticateClient } from './client-authentication.ts';
import { serveOtherPaths } from './dialect-rules.ts';
import { createEventStreams } from './events.ts';
import { serveKeyExchange } from './exchange-access-key.ts';
import { createFailureLimit } from './failure-limit.ts';
import { createFastPath } from './fast-path/fast-path.ts';
import { createFirstUses } from './first-use.ts';
import { serveIssuedTokens, signIntrospection } from './issued-tokens.ts';
import { serveMetadata } from './metadata.ts';
import { presentOAuthError } from './oauth-error.ts';
import { createProvider, handOver } from './provider.ts';
import { readForm } from './receive-form.ts';
import { noteError, recordUse, rejectionOf } from './record-use.ts';
import { serveOwnRotation } from './rotate-own.ts';
import { serveUnsubscribe } from './serve-unsubscribe.ts';
import { serveWhoami } from './whoami.ts';

export type PublicApp = { listener: RequestListener; close(): void };

/**
 * Conditions of the process that answers depend on. @property clientCa returns the current CAs of client certificates,
 * in PEM.
 */
type Surroundings = { isDraining: () => boolean; isOverloaded: () => boolean; clientCa: () => string | undefined };

/** Creates the public listener, which serves integrations and resource servers. */
export function createPublicApp(core: Core, { isDraining, isOverloaded, clientCa }: Surroundings): PublicApp {
  const addressOf = createAddressReader(core.config.trustProxy, createProxyAlarm(core));
  const provider = createProvider(core, addressOf);
  const firstUses = createFirstUses(core);
  const events = createEventStreams(core);
  const isKnownHost = createHostCheck([new URL(core.config.issuer).host, ...core.config.allowedHosts]);
  const requestIdOf = createRequestIds(core.config.trustProxy);
  provider.use(identify(core, addressOf, requestIdOf));
  provider.use(respondWithError(core));
  provider.use(normalize);
  provider.use(serveOtherPaths(core.config.dialects));
  provider.use(serveHealth(core.readiness, { isDraining, isOverloaded }));
  provider.use(shedLoad(isOverloaded));
  provider.use(requireKnownHost(isKnownHost));
  provider.use(serveUnsubscribe(core, addressOf));
  provider.use(routeOnly);
  provider.use(serveMetadata(core));
  provider.use(hideDialects(core));
  provider.use(readForm);
  provider.use(createFailureLimit(core.failureRate, addressOf));
  provider.use(serveKeyExchange(core, addressOf));
  provider.use(recordUse(core, addressOf));
  provider.use(authenticateClient(core, firstUses, createCertificateReader(core, clientCa), addressOf));
  provider.use(requireDialects(core));
  provider.use(announceRetirement);
  provider.use(events.serve);
  provider.use(serveWhoami(core, addressOf));
  provider.use(serveOwnRotation(core, addressOf));
  provider.use(signIntrospection(core));
  provider.use(forbidCaching);
  provider.use(serveIssuedTokens(core));
  provider.use(handOver(provider));
  const listener = provider.callback();
  return {
    listener: core.config.fastPath
      ? createFastPath(core, { addressOf, isKnownHost, isOverloaded, requestIdOf, firstUses }, listener)
      : listener,
    close: events.close,
  };
}

type ReadRequest = (request: IncomingMessage) => string;

/** Assigns a request ID to every request and logs the answer. */
function identify(core: Core, addressOf: ReadRequest, requestIdOf: ReadRequest) {
  const transport = strictTransport(core.config);
  return async (ctx: Context, next: Next): Promise<void> => {
    const startedAt = performance.now();
    const id = requestIdOf(ctx.req);
    ctx.set('X-Request-Id', id);
    ctx.set('X-Content-Type-Options', 'nosniff');
    if (transport) ctx.set('Strict-Transport-Security', transport);
    const address = addressOf(ctx.req);
    await next();
    const clientId = (ctx.state['caller'] as { clientId: string } | undefined)?.clientId;
    const { error: reason, active = ctx.state['active'] } = (ctx.body ?? {}) as { error?: string; active?: boolean };
    const { method, status } = ctx;
    // Log only known paths: an unknown one may be a secret that was pasted into the wrong place.
    const path = isPublicPath(ctx.path) ? ctx.path : 'other';
    logAccess(core, { id, method, path, status, startedAt, address, clientId, reason, active });
    const rejection = path.startsWith('/oauth2/') ? rejectionOf(ctx) : undefined;
    if (rejection) {
      core.usage.rejected({ id, at: new Date(core.clock()), path, status, code: reason ?? null, ...rejection });
    }
  };
}

function respondWithError({ config, log }: Core) {
  return async (ctx: Context, next: Next): Promise<void> => {
    try {
      await next();
    } catch (error) {
      noteError(ctx, hiddenErrorOf(ctx) ?? error);
      presentOAuthError(ctx, error, { issuer: config.issuer, log });
    }
  };
}

/** Rejects requests for a Host that is not configured: they are misdirected, or an attempt to mislead this server. */
function requireKnownHost(isKnownHost: (host: string) => boolean) {
  return (ctx: Context, next: Next): Promise<void> => {
    if (!isKnownHost(ctx.req.headers.host ?? '')) {
      throw new KeyturnError('invalid_request', 421, 'This server does not serve the host in the Host header.');
    }
    return next();
  };
}

function routeOnly(ctx: Context, next: Next): Promise<void> {
  const allowed = isPublicPath(ctx.path) ? publicRoutes[ctx.path] : undefined;
  if (!allowed) throw new KeyturnError('not_found', 404, 'Path not found.');
  if (!allowed.split(', ').includes(ctx.method)) {
    ctx.set('Allow', allowed);
    throw new KeyturnError('invalid_request', 405, `Method not allowed. Use ${allowed}.`);
  }
  return next();
}

/**
 * Forbids caching of answers that contain tokens (RFC 6749 §5.1). Sets the header twice: before, so that the order of
 * the headers is always the same, and after, because other middleware overwrites it.
 */
async function forbidCaching(ctx: Context, next: Next): Promise<void> {
  ctx.set('Cache-Control', 'no-store');
  await next();
  ctx.set('Cache-Control', 'no-store');
  ctx.set('Pragma', 'no-cache');
}
