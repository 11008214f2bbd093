import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import * as oauth4webapi from 'oauth4webapi';
import * as openidClient from 'openid-client';
import { ClientCredentials } from 'simple-oauth2';
import { startTestServer, type TestServer } from '../harness.ts';
import { registerAll, type TestClient } from '../oauth/fixture.ts';

/** Each client library goes this way on its own: discover, token, introspect, revoke, inactive. */
let server: TestServer;
let shop: TestClient;
let api: TestClient;
let issuer: URL;

beforeAll(async () => {
  const port = await freePort();
  issuer = new URL(`http://localhost:${port}`);
  server = await startTestServer({ env: { KEYTURN_ISSUER: issuer.origin, KEYTURN_PORT: String(port) } });
  const clients = await registerAll(server.core);
  shop = clients.shop;
  api = clients.orders;
});
afterAll(() => server.close());

async function freePort(): Promise<number> {
  const { createServer } = await import('node:net');
  return await new Promise((resolve) => {
    const listener = createServer().listen(0, () => {
      const address = listener.address();
      listener.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

test('openid-client', async () => {
  const insecure = { execute: [openidClient.allowInsecureRequests] };
  const oauth = { ...insecure, algorithm: 'oauth2' as const };
  const asShop = await openidClient.discovery(
    issuer,
    shop.id,
    undefined,
    openidClient.ClientSecretBasic(shop.secret),
    oauth,
  );
  const asApi = await openidClient.discovery(
    issuer,
    api.id,
    undefined,
    openidClient.ClientSecretPost(api.secret),
    oauth,
  );
  const { access_token, expires_in, scope } = await openidClient.clientCredentialsGrant(asShop, {
    scope: 'orders:read',
  });
  expect([expires_in, scope]).toEqual([3600, 'orders:read']);
  expect(await openidClient.tokenIntrospection(asApi, access_token)).toMatchObject({
    active: true,
    client_id: shop.id,
    scope: 'orders:read',
  });
  await openidClient.tokenRevocation(asShop, access_token);
  expect(await openidClient.tokenIntrospection(asApi, access_token)).toEqual({ active: false });
});

test('oauth4webapi', async () => {
  const insecure = { [oauth4webapi.allowInsecureRequests]: true };
  const found = await oauth4webapi.discoveryRequest(issuer, { ...insecure, algorithm: 'oauth2' });
  const as = await oauth4webapi.processDiscoveryResponse(issuer, found);
  const client = { client_id: shop.id };
  const authentication = oauth4webapi.ClientSecretBasic(shop.secret);
  const asked = await oauth4webapi.clientCredentialsGrantRequest(as, client, authentication, {}, insecure);
  const { access_token } = await oauth4webapi.processClientCredentialsResponse(as, client, asked);
  const introspect = async () => {
    const resourceServer = { client_id: api.id };
    const answer = await oauth4webapi.introspectionRequest(
      as,
      resourceServer,
      oauth4webapi.ClientSecretBasic(api.secret),
      access_token,
      insecure,
    );
    return await oauth4webapi.processIntrospectionResponse(as, resourceServer, answer);
  };
  expect(await introspect()).toMatchObject({ active: true, client_id: shop.id });
  const revoked = await oauth4webapi.revocationRequest(as, client, authentication, access_token, insecure);
  await oauth4webapi.processRevocationResponse(revoked);
  expect(await introspect()).toEqual({ active: false });
});

test('simple-oauth2, with the endpoints that discovery names', async () => {
  const metadata = (await (await fetch(new URL('/.well-known/oauth-authorization-server', issuer))).json()) as Record<
    'token_endpoint' | 'revocation_endpoint' | 'introspection_endpoint',
    string
  >;
  const client = new ClientCredentials({
    client: { id: shop.id, secret: shop.secret },
    auth: {
      tokenHost: issuer.origin,
      tokenPath: new URL(metadata.token_endpoint).pathname,
      revokePath: new URL(metadata.revocation_endpoint).pathname,
    },
  });
  const accessToken = await client.getToken({ scope: 'orders:read' });
  expect(accessToken.expired()).toBe(false);
  const introspect = async () => {
    const answer = await fetch(metadata.introspection_endpoint, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(`${api.id}:${api.secret}`).toString('base64')}` },
      body: new URLSearchParams({ token: accessToken.token['access_token'] as string }),
    });
    return (await answer.json()) as Record<string, unknown>;
  };
  expect(await introspect()).toMatchObject({ active: true, scope: 'orders:read' });
  await accessToken.revoke('access_token');
  expect(await introspect()).toEqual({ active: false });
});

test('plain curl', async () => {
  const curl = async (...words: string[]) =>
    (await promisify(execFile)('curl', ['-sS', '--fail-with-body', ...words])).stdout;
  const metadata = JSON.parse(await curl(`${issuer.origin}/.well-known/openid-configuration`));
  const asShop = ['-u', `${shop.id}:${shop.secret}`];
  const { access_token: token } = JSON.parse(
    await curl(...asShop, '-d', 'grant_type=client_credentials', metadata.token_endpoint),
  );
  const introspect = async () =>
    JSON.parse(await curl('-u', `${api.id}:${api.secret}`, '-d', `token=${token}`, metadata.introspection_endpoint));
  expect(await introspect()).toMatchObject({ active: true, client_id: shop.id });
  expect(await curl(...asShop, '-d', `token=${token}`, metadata.revocation_endpoint)).toBe('{}');
  expect(await introspect()).toEqual({ active: false });
});
