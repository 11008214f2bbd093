import { generateKeyPairSync } from 'node:crypto';
import type { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Context, Next } from 'koa';
import { type Configuration, Provider } from 'oidc-provider';
import type { Core } from '../core.ts';
import { exchangeGrantType } from '../tokens/exchange-names.ts';
import { grantType } from '../tokens/grant-rules.ts';
import { callerOf } from './client-authentication.ts';
import { clientCredentialsGrant } from './client-credentials-grant.ts';
import { exchangeGrant } from './exchange-grant.ts';
import { formOf } from './receive-form.ts';

/**
 * oidc-provider is the Koa application of the public listener. It dispatches token requests to their grant and rejects
 * those without one. It is adapted in four places, each a documented extension point:
 *
 * 1. `registerGrantType`: Keyturn issues the tokens of its grants.
 * 2. `adapter`: clients come from here, without a secret, because Keyturn has authenticated them before.
 * 3. Middleware before it (`provider.use`), which hands the parsed request over.
 * 4. The event `grant.error`, from which one place presents all errors.
 */
export function createProvider(core: Core, addressOf: (request: IncomingMessage) => string): Provider {
  const provider = new Provider(core.config.issuer, configuration());
  // Without a listener, Koa writes broken connections to standard error.
  (provider as EventEmitter).on('error', (error: Error) =>
    core.log.debug({ error: error.message }, 'connection failed'),
  );
  const issue = clientCredentialsGrant(core, addressOf);
  provider.registerGrantType(grantType, (ctx) => issue(ctx as unknown as Context), []);
  const exchange = exchangeGrant(core);
  provider.registerGrantType(exchangeGrantType, (ctx) => exchange(ctx as unknown as Context), []);
  return provider;
}

/**
 * Hands a token request to oidc-provider: the grant type and the authenticated client, in place of the body, which is
 * already read, and of headers that oidc-provider would authenticate the client by a second time.
 */
export function handOver(provider: Provider) {
  const events: EventEmitter = provider;
  for (const name of ['grant.error', 'server_error']) {
    events.on(name, (ctx: Context, error: unknown) => {
      ctx.state['providerError'] = error;
    });
  }
  return async (ctx: Context, next: Next): Promise<void> => {
    const { host, dpop } = ctx.req.headers;
    ctx.request.header = { host, dpop, accept: 'application/json', ...emptyForm };
    Object.assign(ctx.request, {
      body: { grant_type: formOf(ctx).values.get('grant_type'), client_id: callerOf(ctx).clientId },
    });
    await next();
    // oidc-provider allows every origin. Credentials do not belong in a browser, so remove these headers.
    for (const header of ['Access-Control-Allow-Origin', 'Access-Control-Expose-Headers', 'Vary']) ctx.remove(header);
    if (ctx.state['providerError'] !== undefined) throw ctx.state['providerError'];
  };
}

const emptyForm = { 'content-type': 'application/x-www-form-urlencoded', 'content-length': '0' };

function configuration(): Configuration {
  return {
    adapter: () => adapter,
    clientAuthMethods: ['none'],
    responseTypes: [],
    scopes: [],
    claims: {},
    // oidc-provider accepts no client without an algorithm for ID tokens, and no algorithm without a key for it. None
    // is ever issued, and this key never leaves the process.
    jwks: { keys: [generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' })] },
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    features: { devInteractions: { enabled: false }, dPoP: { enabled: false } },
    routes: { token: '/oauth2/token' },
  } as unknown as Configuration;
}

/** Every client that reaches oidc-provider is authenticated, so it needs only its ID. */
const adapter = {
  find: async (clientId: string) => ({
    client_id: clientId,
    grant_types: [grantType, exchangeGrantType],
    response_types: [],
    redirect_uris: [],
    token_endpoint_auth_method: 'none',
  }),
};
