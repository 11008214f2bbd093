import { generateKeyPairSync } from 'node:crypto';
import type { EventEmitter } from 'node:events';
import type { Context } from 'koa';
import { type Configuration, Provider } from 'oidc-provider';
import type { Core } from '../core.ts';
import { isWellFormedSecret } from '../credentials/credential-format.ts';
import { revokeOwnToken } from '../tokens/revoke-own-token.ts';
import { callerOf } from './client-authentication.ts';
import { formOf } from './read-form.ts';

/** Stands for a secret that Keyturn has matched itself; oidc-provider never sees a real one. */
const alreadyMatched = 'already-matched';

/** Stands for a token that cannot be one of ours; oidc-provider would refuse some forms of it with an error. */
const notAToken = 'not-a-token';

/** oidc-provider's model classes, whose members are replaced below. Its types name only what it documents. */
type Replaceable = {
  Client: { prototype: { compareClientSecret: (secret: string) => Promise<boolean> } };
  ClientCredentials: {
    new (properties: Record<string, unknown>): object;
    find: (value: string) => Promise<object | undefined>;
    prototype: { destroy: (this: { jti: string }) => Promise<void> };
  };
};

/**
 * oidc-provider as Keyturn runs it: a Koa application. Everything that is bent in it is bent in this file. Clients are authenticated
 * before it is reached and handed over as proven; tokens live in Keyturn's own store, under Keyturn's own rules.
 */
export function createProvider(core: Core): Provider {
  const provider = new Provider(core.config.issuer, configuration());
  // Koa would write it to standard error: a connection that breaks while its request is read or answered is nothing to tell of.
  (provider as EventEmitter).on('error', (error: Error) =>
    core.log.debug({ error: error.message }, 'a connection broke'),
  );
  // No request gets there (serve-tokens.ts). So it is known to be supported, and oidc-provider never issues a token by itself.
  provider.registerGrantType('client_credentials', async () => Promise.reject(new Error('not reached')), []);

  const { Client, ClientCredentials } = provider as unknown as Replaceable;
  Client.prototype.compareClientSecret = async (secret) => secret === alreadyMatched;
  ClientCredentials.find = async () => {
    const ctx = currentContext();
    return new ClientCredentials({ jti: formOf(ctx).values.get('token') ?? '' });
  };
  ClientCredentials.prototype.destroy = async function destroy() {
    await revokeOwnToken(core, callerOf(currentContext()).client, this.jti);
  };
  return provider;
}

/** What oidc-provider throws is presented by whoever waits outside, like all else that is thrown. */
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
    // It speaks CORS by itself. Credentials do not belong into a browser, so nothing here is offered to one.
    for (const header of ['Access-Control-Allow-Origin', 'Access-Control-Expose-Headers', 'Vary']) ctx.remove(header);
    if (ctx.state['providerError'] !== undefined) throw ctx.state['providerError'];
    // RFC 7009 §2.2: the body is ignored. Some clients insist that it is JSON all the same.
    if (ctx.path === '/oauth2/revoke') ctx.body = {};
  };
}

/**
 * Hands the request over as oidc-provider is to see it: the parsed form, and the authenticated client as one that has posted its
 * secret. So there is one reading of the request, not two that may differ.
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

/** oidc-provider takes no client without a key for ID tokens. None is ever issued, and this key never leaves the process. */
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
    // Errors are JSON whatever Accept says.
    renderError: (ctx: { body: unknown }, out: unknown) => {
      ctx.body = out;
    },
  } as unknown as Configuration;
}

/** Every client that gets here is authenticated, and to oidc-provider they are all alike but for their id. */
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

/** There are none of oidc-provider's other things, so there is nothing to be found. */
const nothing = { find: async () => undefined };
