import { type AccessTokenVerifier, createAccessTokenVerifier } from '../../src/resource-server/resource-server.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { endpointsOf, eventually, ordersResource, register, registerAll, type TestClient } from '../oauth/fixture.ts';

const reportsResource = 'https://reports.example/';

let server: TestServer;
let endpoints: ReturnType<typeof endpointsOf>;
let clients: Awaited<ReturnType<typeof registerAll>>;
let reports: TestClient;
const open: AccessTokenVerifier[] = [];

beforeAll(async () => {
  server = await startTestServer();
  endpoints = endpointsOf(server.publicUrl);
  clients = await registerAll(server.core);
  reports = await register(server.core, {
    name: 'Reports API',
    kind: 'resource_server',
    resource: reportsResource,
    information: ['reports'],
    tokenFormat: 'jwt',
  });
});

afterAll(async () => {
  for (const verifier of open) verifier.close();
  await server.close();
});

/** The issuer says localhost:4000; the server listens elsewhere, so every request of the verifier goes there instead. */
function toServer(url: () => string, count?: { introspections: number }): typeof fetch {
  return async (input, init) => {
    const path = new URL(String(input)).pathname;
    if (path === '/oauth2/introspect' && count) count.introspections += 1;
    return await fetch(`${url()}${path}`, init);
  };
}

function verifierFor(client: TestClient, resource: string, options: Record<string, unknown> = {}): AccessTokenVerifier {
  const verifier = createAccessTokenVerifier({
    issuer: 'http://localhost:4000',
    resource,
    clientId: client.id,
    clientSecret: client.secret,
    fetch: toServer(() => server.publicUrl),
    ...options,
  });
  open.push(verifier);
  return verifier;
}

const followed = () => new Promise((resolve) => setTimeout(resolve, 1_200));

describe('a verifier', () => {
  test('tells who calls and what they may do', async () => {
    const token = await endpoints.accessToken(clients.shop, { scope: 'orders:read' });
    const found = await verifierFor(clients.orders, ordersResource).verify({
      headers: { authorization: `Bearer ${token}` },
    });
    expect(found).toMatchObject({ clientId: clients.shop.id, subject: clients.shop.id, scope: ['orders:read'] });
  });

  test.each([
    ['no header', {}, 'missing_token', 401, /^Bearer resource_metadata="https:\/\/orders\.example/],
    ['another scheme', { authorization: 'Basic abc' }, 'invalid_request', 400, /error="invalid_request"/],
    ['two tokens', { authorization: 'Bearer a b' }, 'invalid_request', 400, /error="invalid_request"/],
    ['an unknown token', { authorization: 'Bearer kta_x' }, 'invalid_token', 401, /error="invalid_token"/],
  ])('refuses %s as RFC 6750 says', async (_case, headers, code, status, challenge) => {
    const error = await verifierFor(clients.orders, ordersResource, { events: false })
      .verify({ headers })
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code, status });
    expect((error as { headers: Record<string, string> }).headers['WWW-Authenticate']).toMatch(challenge);
  });

  test('names the scope that is lacking', async () => {
    const token = await endpoints.accessToken(clients.shop, { scope: 'orders:read' });
    const error = await verifierFor(clients.orders, ordersResource, { events: false })
      .verify(token, { scope: ['orders:read', 'orders:delete'] })
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'insufficient_scope', status: 403 });
    expect((error as { headers: Record<string, string> }).headers['WWW-Authenticate']).toContain(
      'scope="orders:read orders:delete"',
    );
  });

  test('asks once for a token that a hundred requests bring at the same time', async () => {
    const count = { introspections: 0 };
    const verifier = verifierFor(clients.orders, ordersResource, {
      events: false,
      fetch: toServer(() => server.publicUrl, count),
    });
    const token = await endpoints.accessToken(clients.shop);
    await Promise.all(Array.from({ length: 100 }, () => verifier.verify(token)));
    expect(count.introspections).toBe(1);
  });

  test('forgets a revoked token within a second, opaque or JWT, because events tell it', async () => {
    const analyst = await register(server.core, { name: 'Analyst', kind: 'integration', scope: 'reports:read' });
    const opaqueVerifier = verifierFor(clients.orders, ordersResource);
    const jwtVerifier = verifierFor(reports, reportsResource);
    await followed();
    const opaque = await endpoints.accessToken(clients.shop);
    const jwt = await endpoints.accessToken(analyst);
    await opaqueVerifier.verify(opaque);
    await jwtVerifier.verify(jwt);
    await endpoints.revoke(clients.shop, opaque);
    await endpoints.revoke(analyst, jwt);
    const refused = (verifier: AccessTokenVerifier, token: string) =>
      eventually(
        () =>
          verifier.verify(token).then(
            () => 'active',
            (error: { code: string }) => error.code,
          ),
        (seen) => seen === 'invalid_token',
        1_000,
      );
    await refused(opaqueVerifier, opaque);
    await refused(jwtVerifier, jwt);
  });

  test('answers 503 while the server cannot be reached, unless stale answers were allowed, and never beyond their bound', async () => {
    let url = server.publicUrl;
    const fetch = toServer(() => url);
    const closed = verifierFor(clients.orders, ordersResource, { events: false, fetch });
    const lenient = verifierFor(clients.orders, ordersResource, {
      events: false,
      fetch,
      failure: { staleSeconds: 60 },
    });
    const token = await endpoints.accessToken(clients.shop);
    const realNow = Date.now;
    await lenient.verify(token);
    url = 'http://127.0.0.1:1';
    await expect(closed.verify(token)).rejects.toMatchObject({ status: 503, headers: { 'Retry-After': '1' } });
    try {
      Date.now = () => realNow() + 30_000;
      await expect(lenient.verify(token)).resolves.toMatchObject({ clientId: clients.shop.id });
      Date.now = () => realNow() + 75_000;
      await expect(lenient.verify(token)).rejects.toMatchObject({ status: 503 });
    } finally {
      Date.now = realNow;
    }
  });
});
