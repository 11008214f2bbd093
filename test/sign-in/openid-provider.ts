import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { type KoaContextWithOIDC, Provider } from 'oidc-provider';

/** A person who can sign in at the provider, by the name of the account. */
type Person = { email?: string; email_verified?: boolean; name?: string; groups?: string[]; acr?: string };

/** An OpenID Provider on loopback (node-oidc-provider), which asks for an account name alone. */
export type OpenidProvider = {
  issuer: string;
  clientId: string;
  clientSecret: string;
  people: Map<string, Person>;
  /** The accounts of the refresh tokens that the provider was asked with. */
  refreshed: string[];
  /** The refresh tokens that it has given. */
  refreshTokens: string[];
  /** Ends a person's sessions at the client by back-channel logout, as when an administrator removes the person. */
  logOut(account: string): Promise<void>;
  /** The logout tokens that were sent. */
  logoutTokens: string[];
  close(): Promise<void>;
};

export async function startOpenidProvider({
  logoutUri,
  clientId = 'keyturn',
  givesRefreshTokens = true,
  claimsInIdToken = false,
}: {
  /** Where the provider sends logout tokens. */
  logoutUri?: string;
  clientId?: string;
  givesRefreshTokens?: boolean;
  /** Whether ID tokens have all claims, which otherwise only the userinfo endpoint returns. */
  claimsInIdToken?: boolean;
} = {}): Promise<OpenidProvider> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const people = new Map<string, Person>();
  const clientSecret = 'a-client-secret-of-the-provider-0123456789';
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const logoutTokens: string[] = [];
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: clientId,
        client_secret: clientSecret,
        redirect_uris: ['http://127.0.0.1/callback'],
        grant_types: ['authorization_code', 'refresh_token'],
        id_token_signed_response_alg: 'ES256',
        ...(logoutUri ? { backchannel_logout_uri: logoutUri, backchannel_logout_session_required: true } : {}),
      },
    ],
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'provider', alg: 'ES256', use: 'sig' } as never] },
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
    acrValues: ['silver', 'gold'],
    scopes: ['openid', 'email', 'profile', 'groups', 'offline_access'],
    // Without `prompt=consent`, which node-oidc-provider asks for and others do not. Each refresh token is accepted once.
    conformIdTokenClaims: !claimsInIdToken,
    issueRefreshToken: () => givesRefreshTokens,
    rotateRefreshToken: true,
    enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
    features: { devInteractions: { enabled: false }, backchannelLogout: { enabled: true } },
    cookies: { keys: ['of the test'] },
    ttl: {
      AccessToken: 600,
      AuthorizationCode: 60,
      Grant: 600,
      IdToken: 600,
      Interaction: 600,
      RefreshToken: 86_400,
      Session: 600,
    },
    interactions: { url: (_ctx, { uid }) => `/login/${uid}` },
    // Without an account, a refresh token is rejected with `invalid_grant`.
    findAccount: (_ctx, id) => {
      const person = people.get(id);
      if (!person) return undefined;
      const { acr: _acr, ...claims } = person;
      return { accountId: id, claims: async () => ({ sub: id, ...claims }) };
    },
    loadExistingGrant: async (ctx) => {
      const accountId = ctx.oidc.session?.accountId;
      const grant = new ctx.oidc.provider.Grant({ clientId, ...(accountId ? { accountId } : {}) });
      grant.addOIDCScope('openid email profile groups');
      await grant.save();
      return grant;
    },
    fetch: (url, options) => {
      const body = String((options as { body?: unknown } | undefined)?.body ?? '');
      const token = new URLSearchParams(body).get('logout_token');
      if (token) logoutTokens.push(token);
      return fetch(url, options as RequestInit);
    },
  });
  // Keyturn's redirect URIs contain ids that are not known yet.
  Object.assign(provider.Client.prototype, { redirectUriAllowed: () => true });
  const sids = new Map<string, string[]>();
  provider.on('authorization.success', (ctx) => {
    const { session } = ctx.oidc;
    const sid = session?.sidFor(clientId);
    const account = session?.accountId;
    if (account && sid) sids.set(account, [...(sids.get(account) ?? []), sid]);
  });
  const refreshed: string[] = [];
  const refreshTokens: string[] = [];
  provider.use(async (ctx, next) => {
    await next();
    const { params, entities } = ((ctx as { oidc?: KoaContextWithOIDC['oidc'] }).oidc ??
      {}) as KoaContextWithOIDC['oidc'];
    if (params?.['grant_type'] === 'refresh_token') refreshed.push(entities.RefreshToken?.accountId ?? '');
    const { refresh_token: token } = (ctx.body ?? {}) as { refresh_token?: string };
    if (token) refreshTokens.push(token);
  });
  serveLogin(server, provider, people);
  return {
    issuer,
    clientId,
    clientSecret,
    people,
    logoutTokens,
    refreshed,
    refreshTokens,
    async logOut(account) {
      const client = (await provider.Client.find(clientId)) as unknown as {
        backchannelLogout(sub: string, sid: string): Promise<void>;
      };
      for (const sid of sids.get(account) ?? []) await client.backchannelLogout(account, sid);
      sids.delete(account);
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Serves a login form in front of the provider. */
function serveLogin(server: Server, provider: Provider, people: ReadonlyMap<string, Person>): void {
  const callback = provider.callback();
  server.on('request', async (request, response) => {
    if (!request.url?.startsWith('/login/')) return void callback(request, response);
    if (request.method === 'GET') {
      response.setHeader('Content-Type', 'text/html');
      response.end('<form method="post"><label>Account <input name="account"></label><button>Log in</button></form>');
      return;
    }
    const accountId = new URLSearchParams(await text(request)).get('account') ?? '';
    const person = people.get(accountId);
    const login = { accountId, ...(person?.acr ? { acr: person.acr } : {}) };
    const result = person ? { login } : { error: 'access_denied' };
    await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
  });
}

let browsers = 0;

/** Follows redirects like a browser, with cookies of each origin. SameSite is not considered. */
export function createBrowser() {
  const jars = new Map<string, Map<string, string>>();
  // An address of its own, so that the limit of failed attempts does not affect other tests.
  const address = `198.18.${++browsers >> 8}.${browsers & 255}`;

  async function ask(url: string, init: RequestInit = {}): Promise<{ response: Response; url: string; text: string }> {
    const { origin } = new URL(url);
    const jar = jars.get(origin) ?? new Map<string, string>();
    jars.set(origin, jar);
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const headers = {
      'x-forwarded-for': address,
      ...(init.headers as Record<string, string>),
      ...(cookie ? { cookie } : {}),
    };
    const response = await fetch(url, { ...init, headers, redirect: 'manual' });
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (/max-age=0|expires=thu, 01 jan 1970/i.test(line) || value === '') jar.delete(name);
      else jar.set(name, value);
    }
    return { response, url, text: await response.text() };
  }

  async function open(url: string, init: RequestInit = {}): Promise<{ status: number; url: string; text: string }> {
    let answer = await ask(url, init);
    for (let hops = 0; hops < 20; hops++) {
      const location = answer.response.headers.get('location');
      if (!location) break;
      answer = await ask(new URL(location, answer.url).href);
    }
    return { status: answer.response.status, url: answer.url, text: answer.text };
  }

  return {
    /** Requests a page without following a redirect. */
    ask,
    /** Opens a page, and follows its redirects. */
    open,
    /** Sends a form from a page of its origin. */
    send: (url: string, form: Record<string, string>) =>
      open(url, { method: 'POST', body: new URLSearchParams(form), headers: { origin: new URL(url).origin } }),
    cookies: (origin: string) => jars.get(origin) ?? new Map<string, string>(),
  };
}

/** Returns the address to which a page leads on. */
export function leadsTo(text: string): string {
  return (/http-equiv="refresh" content="0; url=([^"]+)"/.exec(text)?.[1] ?? '').replaceAll('&amp;', '&');
}
