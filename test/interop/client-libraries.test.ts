import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import * as oauth from 'oauth4webapi';
import * as client from 'openid-client';
import { ClientCredentials } from 'simple-oauth2';
import { freePort } from '../free-port.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { ordersResource, registerAll, type TestClient } from '../oauth/fixture.ts';

/** Each library runs discovery, token, introspection, revocation and a final introspection, as in its documentation. */
let server: TestServer;
let issuer: string;
let shop: TestClient;
let orders: TestClient;

beforeAll(async () => {
  // Reserve a port first: libraries require that the issuer is the URL that they fetched the metadata from.
  const port = await freePort();
  issuer = `http://localhost:${port}`;
  server = await startTestServer({ env: { KEYTURN_PORT: String(port), KEYTURN_ISSUER: issuer } });
  ({ shop, orders } = await registerAll(server.core));
});

afterAll(() => server?.close());

const scope = 'orders:read products:read';

describe.each([
  ['client_secret_post', client.ClientSecretPost],
  ['client_secret_basic', client.ClientSecretBasic],
])('openid-client with %s', (_, authentication) => {
  const discover = ({ id, secret }: TestClient, algorithm: 'oauth2' | 'oidc') =>
    client.discovery(new URL(issuer), id, secret, authentication(secret), {
      algorithm,
      execute: [client.allowInsecureRequests],
    });

  it('gets a token, a resource server introspects it, and the client revokes it', async () => {
    const integration = await discover(shop, 'oauth2');
    const api = await discover(orders, 'oidc');
    const tokens = await client.clientCredentialsGrant(integration, { scope, resource: ordersResource });
    expect(tokens).toMatchObject({ token_type: 'bearer', scope });
    expect(tokens.expiresIn()).toBeGreaterThan(3590);
    expect(await client.tokenIntrospection(api, tokens.access_token)).toMatchObject({
      active: true,
      client_id: shop.id,
      aud: ordersResource,
      scope,
    });
    await client.tokenRevocation(integration, tokens.access_token);
    expect(await client.tokenIntrospection(api, tokens.access_token)).toEqual({ active: false });
  });

  it('reports an error with its own error class', async () => {
    const stranger = await discover({ ...shop, secret: orders.secret }, 'oauth2');
    // Expect a WWW-Authenticate challenge (RFC 6750 and 7235), which the library reports.
    await expect(client.clientCredentialsGrant(stranger)).rejects.toMatchObject({
      status: 401,
      cause: [{ scheme: 'basic', parameters: { realm: issuer } }],
    });
    const integration = await discover(shop, 'oauth2');
    await expect(client.clientCredentialsGrant(integration, { scope: 'unknown' })).rejects.toMatchObject({
      status: 400,
      error: 'invalid_scope',
    });
  });
});

it('openid-client with its defaults needs only the issuer, the Client ID and the secret', async () => {
  const integration = await client.discovery(new URL(issuer), shop.id, shop.secret, undefined, {
    execute: [client.allowInsecureRequests],
  });
  const { access_token: token } = await client.clientCredentialsGrant(integration);
  expect(token).toMatch(/^kta_/);
});

describe.each([
  ['client_secret_basic', oauth.ClientSecretBasic],
  ['client_secret_post', oauth.ClientSecretPost],
])('oauth4webapi with %s', (_, authentication) => {
  it('gets a token, a resource server introspects it, and the client revokes it', async () => {
    const url = new URL(issuer);
    const insecure = { [oauth.allowInsecureRequests]: true };
    const found = await oauth.discoveryRequest(url, { algorithm: 'oauth2', ...insecure });
    const as = await oauth.processDiscoveryResponse(url, found);
    const integration = { client_id: shop.id };
    const auth = authentication(shop.secret);

    const issued = await oauth.clientCredentialsGrantRequest(as, integration, auth, { scope }, insecure);
    const { access_token: token, ...rest } = await oauth.processClientCredentialsResponse(as, integration, issued);
    expect(rest).toMatchObject({ token_type: 'bearer', expires_in: 3600, scope });

    const introspect = async () => {
      const api = { client_id: orders.id };
      const answer = await oauth.introspectionRequest(as, api, authentication(orders.secret), token, insecure);
      return await oauth.processIntrospectionResponse(as, api, answer);
    };
    expect(await introspect()).toMatchObject({ active: true, sub: shop.id, aud: ordersResource, iss: issuer });
    await oauth.processRevocationResponse(await oauth.revocationRequest(as, integration, auth, token, insecure));
    expect(await introspect()).toEqual({ active: false });
  });
});

/** Sends a request that simple-oauth2 does not support, as any HTTP client would. */
async function ask(path: string, { id, secret }: TestClient, token: string): Promise<unknown> {
  const answer = await fetch(`${issuer}${path}`, {
    method: 'POST',
    headers: { Authorization: `Basic ${btoa(`${id}:${secret}`)}` },
    body: new URLSearchParams({ token }),
  });
  expect(answer.status).toBe(200);
  return await answer.json();
}

describe.each(['header', 'body'] as const)('simple-oauth2 with the secret in the %s', (authorizationMethod) => {
  it('gets a token and revokes it with only the two URLs of the metadata', async () => {
    const found = await fetch(`${issuer}/.well-known/oauth-authorization-server`);
    const { token_endpoint: tokenUrl, revocation_endpoint: revocationUrl } = (await found.json()) as Record<
      string,
      string
    >;
    const integration = new ClientCredentials({
      client: { id: shop.id, secret: shop.secret },
      auth: {
        tokenHost: issuer,
        tokenPath: new URL(tokenUrl as string).pathname,
        revokePath: new URL(revocationUrl as string).pathname,
      },
      options: { authorizationMethod },
      http: { json: true },
    });
    const issued = await integration.getToken({ scope });
    expect(issued.expired()).toBe(false);
    expect(issued.token).toMatchObject({ token_type: 'Bearer', expires_in: 3600, scope });
    const token = issued.token['access_token'] as string;
    expect(await ask('/oauth2/introspect', orders, token)).toMatchObject({ active: true, client_id: shop.id });
    await issued.revoke('access_token');
    expect(await ask('/oauth2/introspect', orders, token)).toEqual({ active: false });
  });
});

describe('plain curl', () => {
  const run = promisify(execFile);
  const curl = async (...options: string[]) => (await run('curl', ['-sS', '--fail-with-body', ...options])).stdout;

  it('finds the endpoints, gets a token, introspects it, and revokes it', async () => {
    const found = JSON.parse(await curl(`${issuer}/.well-known/oauth-authorization-server`)) as Record<string, string>;
    const as = (who: TestClient) => ['-u', `${who.id}:${who.secret}`];
    const issued = await curl(
      ...as(shop),
      '-d',
      'grant_type=client_credentials',
      '--data-urlencode',
      `scope=${scope}`,
      found['token_endpoint'] as string,
    );
    const { access_token: token, ...rest } = JSON.parse(issued) as Record<string, string>;
    expect(rest).toEqual({ token_type: 'Bearer', expires_in: 3600, scope });
    const introspect = () => curl(...as(orders), '-d', `token=${token}`, found['introspection_endpoint'] as string);
    expect(JSON.parse(await introspect())).toMatchObject({ active: true, client_id: shop.id, scope });
    const withHead = await curl('-i', ...as(shop), '-d', `token=${token}`, found['revocation_endpoint'] as string);
    expect(withHead).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(await introspect()).toBe('{"active":false}');
  });

  it('gets an error as one line of JSON', async () => {
    const wrong = run('curl', [
      '-sS',
      '-i',
      '-u',
      `${shop.id}:wrong`,
      '-d',
      'grant_type=client_credentials',
      `${issuer}/oauth2/token`,
    ]);
    const { stdout } = await wrong;
    expect(stdout).toMatch(/^HTTP\/1\.1 401 Unauthorized\r\n/);
    expect(stdout).toContain('WWW-Authenticate: Basic realm=');
    expect(stdout).toContain('\r\n\r\n{"error":"invalid_client","error_description":"Client authentication failed."}');
  });
});
