import { generateKeyPairSync } from 'node:crypto';
import type { EventEmitter } from 'node:events';
import type { Context } from 'koa';
import { type Configuration, Provider } from 'oidc-provider';
import type { Core } from '../core.ts';
import { isWellFormedSecret } from '../credentials/credential-format.ts';
import { revokeOwnToken } from '../tokens/revoke-own-token.ts';
import { callerOf } from './client-authentication.ts';
import { TooManyRequests } from './oauth-error.ts';
import { formOf } from './read-form.ts';

/** Placeholder for a secret that Keyturn has already verified; oidc-provider never receives a real one. */
const alreadyMatched = 'already-matched';

/** Placeholder for a malformed token, because oidc-provider would answer some of them with an error. */
const notAToken = 'not-a-token';

/**
 * oidc-provider's model classes, some of whose members are replaced below. Its own types cover only documented members.
 */
type Replaceable = {
  Client: { prototype: { compareClientSecret: (secret: string) => Promise<boolean> } };
  ClientCredentials: {
    new (properties: Record<string, unknown>): object;
    find: (value: string) => Promise<object | undefined>;
    prototype: { destroy: (this: { jti: string }) => Promise<void> };
  };
};

/**
 * Creates oidc-provider, a Koa application. Every adaptation of it is in this file. Clients are authenticated before
 * they reach it, and tokens live in Keyturn's own store under Keyturn's own rules.
 */
export function createProvider(core: Core): Provider {
  const provider = new Provider(core.config.issuer, configuration());
  // Without a listener, Koa writes broken connections to standard error.
  (provider as EventEmitter).on('error', (error: Error) =>
    core.log.debug({ error: error.message }, 'connection failed'),
  );
  // This handler is never reached (serve-tokens.ts). Registering it makes the grant type known, and oidc-provider
  // issues no token itself.
  provider.registerGrantType('client_credentials', async () => Promise.reject(new Error('not reached')), []);

  const { Client, ClientCredentials } = provider as unknown as Replaceable;
  Client.prototype.compareClientSecret = async (secret) => secret === alreadyMatched;
  ClientCredentials.find = async () => {
    const ctx = currentContext();
    return new ClientCredentials({ jti: formOf(ctx).values.get('token') ?? '' });
  };
  ClientCredentials.prototype.destroy = async function destroy() {
    const { client } = callerOf(currentContext());
    const seconds = core.revocationRate?.secondsToWait(client.id);
    if (seconds !== undefined)
      throw new TooManyRequests(seconds, 'This client has revoked too many tokens. Try again later.');
    core.revocationRate?.count(client.id);
    await revokeOwnToken(core, client, this.jti);
  };
  return provider;
}

/** Rethrows errors that oidc-provider handled itself, so that one place presents all errors. */
export function rethrowProviderErrors(provider: Provider) {
  const remember = (ctx: { state: Record<string, unknown> }, error: unknown) => {
    ctx.state['providerError'] = error;
  };
  const events: EventEmitter = provider;
  for (const name of ['grant.error', 'introspection.error', 'revocation.error', 'server_error']) {
    events.on(name, remember);
  }
  return async (ctx: Context, next: () => Promise<unknown>): Promise<void> => {
    await next();
    // oidc-provider adds CORS headers. Credentials do not belong in a browser, so remove them.
    for (const header of ['Access-Control-Allow-Origin', 'Access-Control-Expose-Headers', 'Vary']) ctx.remove(header);
    if (ctx.state['providerError'] !== undefined) throw ctx.state['providerError'];
    // RFC 7009 §2.2: clients ignore the body, but some require it to be JSON.
    if (ctx.path === '/oauth2/revoke') ctx.body = {};
  };
}

/**
 * Passes the request to oidc-provider in the form it expects: with the parsed form, and the authenticated client as one
 * that posted its secret. The body is parsed only once, so that two parsers cannot disagree.
 */
export async function handOver(ctx: Context, next: () => Promise<unknown>): Promise<void> {
  const { values, resources } = formOf(ctx);
  const body = new URLSearchParams([...values]);
  for (const resource of resources) body.append('resource', resource);
  body.set('client_id', callerOf(ctx).clientId);
  body.set('client_secret', alreadyMatched);
  body.delete('client_assertion');
  body.delete('client_assertion_type');
  const token = values.get('token');
  if (token !== undefined && !isWellFormedSecret(token, 'kta_')) body.set('token', notAToken);
  const bytes = Buffer.from(body.toString());
  delete ctx.req.headers.authorization;
  ctx.req.headers['content-type'] = 'application/x-www-form-urlencoded';
  ctx.req.headers['content-length'] = String(bytes.length);
  delete ctx.req.headers['transfer-encoding'];
  Object.defineProperties(ctx.req, { readable: { value: true }, iterator: { value: () => [bytes] } });
  await next();
}

function currentContext(): Context {
  return Provider.ctx as unknown as Context;
}

/** oidc-provider requires a key for ID tokens. None is ever issued, and this key never leaves the process. */
function unusedIdTokenKey(): object {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
}

function configuration(): Configuration {
  return {
    adapter: (name: string) => (name === 'Client' ? clientAdapter : nothing),
    clientAuthMethods: ['client_secret_basic', 'client_secret_post'],
    responseTypes: [],
    scopes: [],
    claims: {},
    jwks: { keys: [unusedIdTokenKey()] },
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    features: {
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      revocation: { enabled: true, allowedPolicy: () => true },
      devInteractions: { enabled: false },
      dPoP: { enabled: false },
      pushedAuthorizationRequests: { enabled: false },
      resourceIndicators: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      userinfo: { enabled: false },
    },
    routes: { token: '/oauth2/token', introspection: '/oauth2/introspect', revocation: '/oauth2/revoke' },
    clientBasedCORS: () => true,
    // Errors are JSON regardless of the Accept header.
    renderError: (ctx: { body: unknown }, out: unknown) => {
      ctx.body = out;
    },
  } as unknown as Configuration;
}

/** Every client that reaches this adapter is authenticated, so oidc-provider needs only its id. */
const clientAdapter = {
  find: async (clientId: string) => ({
    client_id: clientId,
    client_secret: alreadyMatched,
    grant_types: ['client_credentials'],
    response_types: [],
    redirect_uris: [],
    token_endpoint_auth_method: 'client_secret_post',
  }),
};

/** An empty store for all other models of oidc-provider. */
const nothing = { find: async () => undefined };
