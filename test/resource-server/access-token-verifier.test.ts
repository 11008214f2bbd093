import { createHmac, generateKeyPairSync } from 'node:crypto';
import {
  type AccessTokenVerifier,
  createAccessTokenVerifier,
  type VerifierOptions,
} from '../../src/resource-server/resource-server.ts';
import { rotateSigningKeys, type SigningKey, signJwt } from '../../src/tokens/signing-keys.ts';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { eventuallyIs } from '../eventually.ts';
import { makeAssertion, makePair, registerKeyClient } from '../oauth/assertion.ts';
import { actor, endpointsOf, ordersResource, register, registerAll, type TestClient } from '../oauth/fixture.ts';
import { watchStreams } from './watch-streams.ts';

const reportsResource = 'https://reports.example/';

let server: AdminServer;
let endpoints: ReturnType<typeof endpointsOf>;
let clients: Awaited<ReturnType<typeof registerAll>>;
let reports: TestClient;
const open: AccessTokenVerifier[] = [];

beforeAll(async () => {
  server = await startAdminServer();
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

const streams = watchStreams();

/** Sends the verifier's requests to the actual server, because the issuer is localhost:4000. */
function toServer(url: () => string, count?: { introspections: number }): typeof fetch {
  return async (input, init) => {
    const path = new URL(String(input)).pathname;
    if (path === '/oauth2/introspect' && count) count.introspections += 1;
    return await fetch(`${url()}${path}`, init);
  };
}

function verifierFor(
  client: TestClient,
  resource: string,
  options: Partial<VerifierOptions> = {},
): AccessTokenVerifier {
  const { fetch = toServer(() => server.publicUrl), events: isFollowing = true } = options;
  const verifier = createAccessTokenVerifier({
    issuer: 'http://localhost:4000',
    resource,
    clientId: client.id,
    clientSecret: client.secret,
    ...options,
    fetch: isFollowing ? streams.watch(fetch) : fetch,
  });
  open.push(verifier);
  return verifier;
}

/** Runs `work` with the wall clock advanced by some milliseconds. */
async function atTime<T>(later: number, work: () => Promise<T>): Promise<T> {
  const realNow = Date.now;
  Date.now = () => realNow() + later;
  try {
    return await work();
  } finally {
    Date.now = realNow;
  }
}

describe('a verifier', () => {
  test('returns the client and its permissions', async () => {
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
  ])('rejects %s as in RFC 6750', async (_case, headers, code, status, challenge) => {
    const error = await verifierFor(clients.orders, ordersResource, { events: false })
      .verify({ headers })
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code, status });
    expect((error as { headers: Record<string, string> }).headers['WWW-Authenticate']).toMatch(challenge);
  });

  test('names the missing scope', async () => {
    const token = await endpoints.accessToken(clients.shop, { scope: 'orders:read' });
    const error = await verifierFor(clients.orders, ordersResource, { events: false })
      .verify(token, { scope: ['orders:read', 'orders:delete'] })
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'insufficient_scope', status: 403 });
    expect((error as { headers: Record<string, string> }).headers['WWW-Authenticate']).toContain(
      'scope="orders:read orders:delete"',
    );
  });

  test('accepts a required scope under each name of its permission, and under no other', async () => {
    const token = await endpoints.accessToken(clients.shop, { scope: 'orders:read' });
    const verifier = verifierFor(clients.orders, ordersResource, {
      events: false,
      scopeAliases: [['orders.read', 'read:orders', 'orders:read'], ['orders.write']],
    });
    for (const scope of ['orders.read', 'read:orders', 'orders:read']) {
      expect((await verifier.verify(token, { scope })).scope).toEqual(['orders:read']);
    }
    for (const scope of ['orders.write', 'orders.list']) {
      await expect(verifier.verify(token, { scope })).rejects.toMatchObject({ code: 'insufficient_scope' });
    }
  });

  test('introspects once for a hundred concurrent requests with the same token', async () => {
    const count = { introspections: 0 };
    const verifier = verifierFor(clients.orders, ordersResource, {
      events: false,
      fetch: toServer(() => server.publicUrl, count),
    });
    const token = await endpoints.accessToken(clients.shop);
    await Promise.all(Array.from({ length: 100 }, () => verifier.verify(token)));
    expect(count.introspections).toBe(1);
  });

  test('rejects a revoked token within a second, opaque or JWT, because of events', async () => {
    const analyst = await register(server.core, { name: 'Analyst', kind: 'integration', scope: 'reports:read' });
    const opaqueVerifier = verifierFor(clients.orders, ordersResource);
    const jwtVerifier = verifierFor(reports, reportsResource);
    await streams.followed();
    const opaque = await endpoints.accessToken(clients.shop);
    const jwt = await endpoints.accessToken(analyst);
    await opaqueVerifier.verify(opaque);
    await jwtVerifier.verify(jwt);
    await endpoints.revoke(clients.shop, opaque);
    await endpoints.revoke(analyst, jwt);
    const refused = (verifier: AccessTokenVerifier, token: string) =>
      eventuallyIs(
        () =>
          verifier.verify(token).then(
            () => 'active',
            (error: { code: string }) => error.code,
          ),
        (seen) => seen === 'invalid_token',
      );
    await refused(opaqueVerifier, opaque);
    await refused(jwtVerifier, jwt);
  });

  test('returns the changed claims of a client and of its API within a second, because of events', async () => {
    const verifier = verifierFor(clients.orders, ordersResource);
    await streams.followed();
    const token = await endpoints.accessToken(clients.shop, { scope: 'orders:read' });
    expect((await verifier.verify(token)).claims).not.toHaveProperty('tenant');
    for (const { id } of [clients.shop, clients.orders]) {
      const body = { claims: { tenant: id } };
      expect((await server.adminFetch(`/clients/${id}`, { method: 'PATCH', body })).status).toBe(200);
      await eventuallyIs(
        async () => (await verifier.verify(token)).claims['tenant'],
        // The claim of the client has precedence over that of the API.
        (tenant) => tenant === clients.shop.id,
      );
    }
    await server.adminFetch(`/clients/${clients.shop.id}`, { method: 'PATCH', body: { claims: {} } });
    await eventuallyIs(
      async () => (await verifier.verify(token)).claims['tenant'],
      (tenant) => tenant === clients.orders.id,
    );
  });

  test('answers 503 while the server cannot be reached, except with stale answers within their limit', async () => {
    let url = server.publicUrl;
    const fetch = toServer(() => url);
    const closed = verifierFor(clients.orders, ordersResource, { events: false, fetch });
    const lenient = verifierFor(clients.orders, ordersResource, {
      events: false,
      fetch,
      failure: { staleSeconds: 60 },
    });
    const token = await endpoints.accessToken(clients.shop);
    await lenient.verify(token);
    url = 'http://127.0.0.1:1';
    await expect(closed.verify(token)).rejects.toMatchObject({ status: 503, headers: { 'Retry-After': '1' } });
    expect((await atTime(30_000, () => lenient.verify(token))).clientId).toBe(clients.shop.id);
    await expect(atTime(75_000, () => lenient.verify(token))).rejects.toMatchObject({ status: 503 });
  });

  test('limits the number of cached answers and evicts the least recently used', async () => {
    const count = { introspections: 0 };
    const fetch = toServer(() => server.publicUrl, count);
    const verifier = verifierFor(clients.orders, ordersResource, { events: false, maxCachedTokens: 2, fetch });
    const tokens = await Promise.all(Array.from({ length: 3 }, () => endpoints.accessToken(clients.shop)));
    const [first = '', second = '', third = ''] = tokens;
    for (const token of [first, second, first, third, first]) await verifier.verify(token);
    expect(count.introspections).toBe(3);
    await verifier.verify(second);
    expect(count.introspections).toBe(4);
  });

  test('caches an answer for ten seconds without events', async () => {
    const count = { introspections: 0 };
    const fetch = toServer(() => server.publicUrl, count);
    const verifier = verifierFor(clients.orders, ordersResource, { events: false, fetch });
    const token = await endpoints.accessToken(clients.shop);
    for (const [later, questions] of [
      [0, 1],
      [9_900, 1],
      [10_100, 2],
    ] as const) {
      await atTime(later, () => verifier.verify(token));
      expect(count.introspections).toBe(questions);
    }
  });

  test("uses no answer beyond the token's expiry, even if stale answers are allowed", async () => {
    let url = server.publicUrl;
    const failure = { staleSeconds: 100_000 };
    const analyst = await register(server.core, { name: 'Analyst', kind: 'integration', scope: 'reports:read' });
    const cases = [
      [verifierFor(clients.orders, ordersResource, { failure, fetch: toServer(() => url) }), clients.shop],
      [verifierFor(reports, reportsResource, { failure, fetch: toServer(() => url) }), analyst],
    ] as const;
    await streams.followed();
    const known = await Promise.all(
      cases.map(async ([verifier, client]) => {
        const token = await endpoints.accessToken(client);
        await verifier.verify(token);
        return { verifier, token };
      }),
    );
    url = 'http://127.0.0.1:1';
    for (const { verifier, token } of known) {
      await atTime(3_590_000, () => verifier.verify(token));
      const late = atTime(3_601_000, () => verifier.verify(token));
      await expect(late).rejects.toMatchObject({ status: expect.any(Number), code: /temporarily|invalid_token/ });
    }
  });
});

describe('a JWT', () => {
  let analyst: TestClient;
  let key: SigningKey;

  beforeAll(async () => {
    analyst = await register(server.core, { name: 'Analyst', kind: 'integration', scope: 'reports:read' });
    key = await server.core.signingKeys.current();
  });

  const right = () => {
    const now = Math.floor(Date.now() / 1_000);
    const { id } = analyst;
    const subject = { sub: id, client_id: id, jti: 'x', scope: 'reports:read' };
    return { iss: 'http://localhost:4000', aud: reportsResource, iat: now, exp: now + 60, ...subject };
  };

  test('is verified without introspection', async () => {
    const count = { introspections: 0 };
    const fetch = toServer(() => server.publicUrl, count);
    const verifier = verifierFor(reports, reportsResource, { events: false, fetch });
    const found = await verifier.verify(await endpoints.accessToken(analyst), { scope: 'reports:read' });
    expect(found).toMatchObject({ clientId: analyst.id, subject: analyst.id, scope: ['reports:read'] });
    expect((await verifier.verify(signJwt(key, 'at+jwt', right()))).jti).toBe('x');
    expect(count.introspections).toBe(0);
  });

  const wrong: [string, (now: number) => object, typ?: string][] = [
    ['another issuer', () => ({ iss: 'https://evil.example' })],
    ['no issuer', () => ({ iss: undefined })],
    ['another audience', () => ({ aud: ordersResource })],
    ['no audience', () => ({ aud: undefined })],
    ['exp in the past', (now) => ({ exp: now - 1 })],
    ['no exp', () => ({ exp: undefined })],
    ['nbf in the future', (now) => ({ nbf: now + 60 })],
    ['no iat', () => ({ iat: undefined })],
    ['no client_id', () => ({ client_id: undefined })],
    ['no jti', () => ({ jti: undefined })],
    ['no scope', () => ({ scope: undefined })],
    ['the type of a DPoP proof', () => ({}), 'dpop+jwt'],
    ['the type of a signed introspection', () => ({}), 'token-introspection+jwt'],
  ];

  test.each(wrong)('that has %s is rejected without introspection', async (_case, change, typ = '') => {
    const count = { introspections: 0 };
    const fetch = toServer(() => server.publicUrl, count);
    for (const acceptTypJwt of [false, true]) {
      const verifier = verifierFor(reports, reportsResource, { events: false, fetch, acceptTypJwt });
      const ofToken = acceptTypJwt ? 'JWT' : 'at+jwt';
      const token = signJwt(key, typ || ofToken, { ...right(), ...change(Math.floor(Date.now() / 1_000)) });
      await expect(verifier.verify(token)).rejects.toMatchObject({ code: 'invalid_token', status: 401 });
    }
    expect(count.introspections).toBe(0);
  });

  test('with typ JWT is accepted only by a verifier with acceptTypJwt, which accepts at+jwt too', async () => {
    const [strict, lenient] = [false, true].map((acceptTypJwt) =>
      verifierFor(reports, reportsResource, { events: false, acceptTypJwt }),
    ) as [AccessTokenVerifier, AccessTokenVerifier];
    const [plain, standard] = ['JWT', 'at+jwt'].map((typ) => signJwt(key, typ, right())) as [string, string];
    for (const token of [plain, standard, plain]) expect((await lenient.verify(token)).clientId).toBe(analyst.id);
    // Rejected before and after the strict verifier has found the key of a token of its own.
    await expect(strict.verify(plain)).rejects.toMatchObject({ code: 'invalid_token', status: 401 });
    expect((await strict.verify(standard)).clientId).toBe(analyst.id);
    await expect(strict.verify(plain)).rejects.toMatchObject({ code: 'invalid_token', status: 401 });
  });

  test('that is an assertion or a signed introspection answer is rejected by a verifier with acceptTypJwt', async () => {
    const verifier = verifierFor(reports, reportsResource, { events: false, acceptTypJwt: true });
    const pair = await makePair();
    const id = await registerKeyClient(server.core, { jwks: { keys: [pair.publicJwk] } });
    const assertion = await makeAssertion(pair, id, 'http://localhost:4000', {
      header: { typ: 'JWT', kid: key.kid },
      claims: { ...right(), iss: id, sub: id },
    });
    const answer = await endpoints.introspect(
      reports,
      await endpoints.accessToken(analyst),
      {},
      {
        headers: { Accept: 'application/token-introspection+jwt' },
      },
    );
    expect(answer.text.split('.')).toHaveLength(3);
    for (const token of [assertion, answer.text]) {
      await expect(verifier.verify(token)).rejects.toMatchObject({ code: 'invalid_token', status: 401 });
    }
  });

  test('that its key did not sign is rejected: alg none, HMAC with the public key, another key, a changed claim', async () => {
    const verifier = verifierFor(reports, reportsResource, { events: false });
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const header = { typ: 'at+jwt', kid: key.kid };
    const [good, claims, signature] = signJwt(key, 'at+jwt', right()).split('.');
    const hmac = `${encode({ ...header, alg: 'HS256' })}.${claims}`;
    const publicPem = key.publicKey.export({ type: 'spki', format: 'pem' });
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const tokens = [
      `${encode({ ...header, alg: 'none' })}.${claims}.`,
      `${encode({ ...header, alg: 'none' })}.${claims}.AA`,
      `${hmac}.${createHmac('sha256', publicPem).update(hmac).digest('base64url')}`,
      signJwt({ ...key, privateKey: other.privateKey }, 'at+jwt', right()),
      `${good}.${encode({ ...right(), scope: 'reports:delete' })}.${signature}`,
      signJwt({ ...key, kid: 'unknown', privateKey: other.privateKey }, 'at+jwt', right()),
    ];
    for (const token of tokens) await expect(verifier.verify(token)).rejects.toMatchObject({ status: 401 });
  });

  test('of a new signing key is accepted at once', async () => {
    const verifier = verifierFor(reports, reportsResource);
    await verifier.verify(await endpoints.accessToken(analyst));
    for (let time = 0; time < 2; time++) {
      await server.core.change((transaction) => rotateSigningKeys(transaction, server.core, actor));
      expect((await verifier.verify(await endpoints.accessToken(analyst))).clientId).toBe(analyst.id);
    }
  });
});

test('reports the used scopes of an access key once for each scope, for opaque tokens and JWTs', async () => {
  const contact = (
    await server.adminFetch('/contacts', { method: 'POST', body: { name: 'A', email: 'a@example.com' } })
  ).json;
  const permissions = { orders: ['read', 'create'], reports: ['read', 'delete'] };
  const body = { name: 'Key', permissions };
  const accessKey = (await server.adminFetch(`/contacts/${contact.id}/access-keys`, { method: 'POST', body })).json;
  const scope = 'orders:read orders:create reports:read reports:delete';
  const client = await register(server.core, { name: 'Keyed', kind: 'integration', scope });
  const tokenFor = (resource: string) => endpoints.accessToken(client, { access_key: accessKey.access_key, resource });
  const count = { introspections: 0 };
  const fetch = toServer(() => server.publicUrl, count);
  const opaque = verifierFor(clients.orders, ordersResource, { events: false, fetch });
  const jwt = verifierFor(reports, reportsResource, { events: false, fetch });
  const [ordersToken, reportsToken] = [await tokenFor(ordersResource), await tokenFor(reportsResource)];
  for (let time = 0; time < 5; time++) {
    await opaque.verify(ordersToken, { scope: 'orders:read' });
    await jwt.verify(reportsToken, { scope: 'reports:read' });
  }
  // A rejected request does not count as use.
  await expect(opaque.verify(ordersToken, { scope: 'orders:delete' })).rejects.toMatchObject({ status: 403 });
  const usage = async () => {
    await server.core.usedScopes.flush();
    return (await server.adminFetch(`/access-keys/${accessKey.id}`)).json.usage;
  };
  await eventuallyIs(usage, ({ used }) => used === 2);
  expect(await usage()).toMatchObject({ granted: 4, used: 2, used_scope: ['orders:read', 'reports:read'] });
  // One introspection verifies the opaque token, and each token needs one report.
  expect(count.introspections).toBe(3);
  await opaque.verify(ordersToken, { scope: ['orders:read', 'orders:create'] });
  await eventuallyIs(usage, ({ used }) => used === 3);
  expect(count.introspections).toBe(4);
});
