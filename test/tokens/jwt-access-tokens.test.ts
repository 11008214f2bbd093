import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import pg from 'pg';
import { disableClient, enableClient, revokeClientTokens } from '../../src/clients/manage-clients.ts';
import { privateClaims, signAccessToken } from '../../src/tokens/jwt-access-token.ts';
import { rotateOldSigningKey, rotateSigningKeys } from '../../src/tokens/signing-keys.ts';
import { eventually, eventuallyIs } from '../eventually.ts';
import { createTestStores, startTestServer, type TestServer } from '../harness.ts';
import { actor, endpointsOf, inactive, register, registerAll, type TestClient } from '../oauth/fixture.ts';
import { askPostgres } from '../services.ts';

const reportsResource = 'https://reports.example/';

let now = Date.now();
let server: TestServer;
let endpoints: ReturnType<typeof endpointsOf>;
let clients: Awaited<ReturnType<typeof registerAll>>;
let reports: TestClient;
let analyst: TestClient;

beforeAll(async () => {
  server = await startTestServer({ clock: () => now });
  endpoints = endpointsOf(server.publicUrl);
  clients = await registerAll(server.core);
  reports = await register(server.core, {
    name: 'Reports API',
    kind: 'resource_server',
    resource: reportsResource,
    information: ['reports', 'orders'],
    tokenFormat: 'jwt',
  });
  analyst = await register(server.core, { name: 'Analyst', kind: 'integration', scope: 'reports:read reports:create' });
});

afterAll(async () => {
  await server.close();
});

function keySet() {
  return createRemoteJWKSet(new URL(`${server.publicUrl}/.well-known/jwks.json`), { cooldownDuration: 0 });
}

async function verify(token: string) {
  return await jwtVerify(token, keySet(), {
    issuer: 'http://localhost:4000',
    audience: reportsResource,
    typ: 'at+jwt',
  });
}

describe('a resource server with the token format jwt', () => {
  test('gets tokens that verify with the published keys (RFC 9068)', async () => {
    const { payload, protectedHeader } = await verify(await endpoints.accessToken(analyst));
    expect(protectedHeader).toMatchObject({ alg: 'ES256', typ: 'at+jwt' });
    expect(payload).toMatchObject({
      iss: 'http://localhost:4000',
      sub: analyst.id,
      client_id: analyst.id,
      aud: reportsResource,
      scope: 'reports:read reports:create',
    });
    expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(3600);
    expect(payload.jti).toMatch(/^[\w-]{22}$/);
  });

  test('gets tokens whose signatures all verify, also those with leading zeros in an integer', async () => {
    // One signature in 128 has a leading zero byte.
    const keys = keySet();
    const tokens = await Promise.all(Array.from({ length: 400 }, () => endpoints.accessToken(analyst)));
    for (const token of tokens) await jwtVerify(token, keys);
  });

  test('gets tokens whose own claims are under one collision-resistant name (RFC 7519 §4.2)', async () => {
    const { payload } = await verify(await endpoints.accessToken(analyst));
    const own = 'https://keyturn.dev/claims';
    expect(Object.keys(payload).sort()).toEqual(
      ['aud', 'client_id', 'exp', own, 'iat', 'iss', 'jti', 'scope', 'sub'].sort(),
    );
    expect(payload[own]).toEqual({ epoch: expect.any(Number), generation: 1 });
  });

  test('gets active for a token of the previous version, whose own claims are at the top', async () => {
    const { payload } = await verify(await endpoints.accessToken(analyst));
    const { [privateClaims]: own, ...claims } = payload as Record<string, unknown>;
    const sign = async (changed: object) =>
      signAccessToken(await server.core.signingKeys.current(), 'at+jwt', { ...claims, ...changed } as never);
    expect((await endpoints.introspect(reports, await sign(own as object))).json['active']).toBe(true);
    expect((await endpoints.introspect(reports, await sign({ ...(own as object), epoch: 7 }))).text).toBe(inactive);
  });

  test('has no records in the token store', async () => {
    const before = await server.core.database.query('SELECT count(*) FROM access_tokens');
    await endpoints.accessToken(analyst);
    expect(await server.core.database.query('SELECT count(*) FROM access_tokens')).toEqual(before);
  });

  test('may introspect its tokens, and others get inactive', async () => {
    const token = await endpoints.accessToken(analyst, { scope: 'reports:read' });
    const { json } = await endpoints.introspect(reports, token);
    expect(json).toMatchObject({ active: true, client_id: analyst.id, scope: 'reports:read', aud: reportsResource });
    expect((await endpoints.introspect(clients.orders, token)).text).toBe(inactive);
  });

  test('sees every kind of end at once: token revoked, all revoked, client disabled and enabled again, expired', async () => {
    const revoked = await endpoints.accessToken(analyst);
    expect((await endpoints.revoke(clients.shop, revoked)).status).toBe(400);
    expect((await endpoints.introspect(reports, revoked)).json['active']).toBe(true);
    expect((await endpoints.revoke(analyst, revoked)).status).toBe(200);
    expect((await endpoints.introspect(reports, revoked)).text).toBe(inactive);

    const swept = await endpoints.accessToken(analyst);
    await server.core.change((transaction) => revokeClientTokens(transaction, server.core, actor, analyst.id));
    expect((await endpoints.introspect(reports, swept)).text).toBe(inactive);

    const disabled = await endpoints.accessToken(analyst);
    await server.core.change((transaction) => disableClient(transaction, server.core, actor, analyst.id));
    expect((await endpoints.introspect(reports, disabled)).text).toBe(inactive);
    await server.core.change((transaction) => enableClient(transaction, server.core, actor, analyst.id));
    expect((await endpoints.introspect(reports, disabled)).text).toBe(inactive);

    const expiring = await endpoints.accessToken(analyst);
    now += 3_599_000;
    expect((await endpoints.introspect(reports, expiring)).json['active']).toBe(true);
    now += 2_000;
    expect((await endpoints.introspect(reports, expiring)).text).toBe(inactive);
  });

  test('gets inactive for forged tokens: another key, alg none, a changed claim, another typ', async () => {
    const token = await endpoints.accessToken(analyst);
    const [header = '', payload = '', signature = ''] = token.split('.');
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as object;
    const forged = [
      `${encode({ alg: 'none', typ: 'at+jwt' })}.${payload}.`,
      `${encode({ ...decodeProtectedHeader(token), alg: 'HS256' })}.${payload}.${signature}`,
      `${encode({ ...decodeProtectedHeader(token), typ: 'JWT' })}.${payload}.${signature}`,
      `${encode({ ...decodeProtectedHeader(token), kid: "x' OR 1=1--" })}.${payload}.${signature}`,
      `${header}.${encode({ ...claims, scope: 'reports:delete' })}.${signature}`,
      `${header}.${payload}.${signature.slice(0, -4)}AAAA`,
    ];
    for (const value of forged) expect((await endpoints.introspect(reports, value)).text).toBe(inactive);
  });
});

describe('the resource of a token (RFC 8707)', () => {
  test('must be named for a scope of two servers if one accepts JWTs, because a JWT has one audience', async () => {
    const refused = await endpoints.token(clients.shop, { scope: 'orders:read' });
    expect([refused.status, refused.json['error']]).toEqual([400, 'invalid_target']);
    const chosen = await endpoints.accessToken(clients.shop, { scope: 'orders:read', resource: reportsResource });
    expect((await verify(chosen)).payload.aud).toBe(reportsResource);
    const other = await endpoints.accessToken(clients.shop, {
      scope: 'orders:read',
      resource: 'https://orders.example',
    });
    expect(other).toMatch(/^kta_/);
  });

  test("is the client's default if the request names none", async () => {
    const client = await register(server.core, {
      name: 'Defaulted',
      kind: 'integration',
      scope: 'orders:read',
      resource: reportsResource,
    });
    expect((await verify(await endpoints.accessToken(client))).payload.aud).toBe(reportsResource);
  });

  test('excludes scopes of other resources', async () => {
    const { json } = await endpoints.token(clients.shop, { scope: 'products:read', resource: reportsResource });
    expect(json['error']).toBe('invalid_scope');
  });
});

describe('signing keys', () => {
  const rotate = () => server.core.change((transaction) => rotateSigningKeys(transaction, server.core, actor));

  test('are published before they sign, and their private parts are never published or stored unsealed', async () => {
    const keys = async () =>
      (await (await fetch(`${server.publicUrl}/.well-known/jwks.json`)).json()) as { keys: Record<string, string>[] };
    const before = await keys();
    await rotate();
    const { kid } = decodeProtectedHeader(await endpoints.accessToken(analyst));
    expect(before.keys.map((key) => key['kid'])).toContain(kid);
    for (const key of (await keys()).keys) {
      for (const name of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k']) expect(key).not.toHaveProperty(name);
    }
    const [stored] = await askPostgres(server.stores.databaseUrl, 'SELECT sealed, public_jwk FROM signing_keys');
    expect(JSON.stringify(stored)).not.toContain('"d"');
  });

  test('are created once by processes that start for the first time at once', async () => {
    const stores = await createTestStores();
    const holder = new pg.Client({ connectionString: stores.databaseUrl });
    await holder.connect();
    await holder.query('BEGIN; LOCK TABLE signing_keys IN ACCESS EXCLUSIVE MODE');
    const starts = Array.from({ length: 3 }, () => startTestServer({ stores }));
    const waiting = `SELECT FROM pg_locks WHERE NOT granted AND relation = 'signing_keys'::regclass`;
    await eventually(async () => (await holder.query(waiting)).rowCount === starts.length);
    await holder.query('COMMIT');
    await holder.end();
    const started = await Promise.allSettled(starts);
    for (const one of started) if (one.status === 'fulfilled') await one.value.close();
    expect(started.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled']);
    expect(await askPostgres(stores.databaseUrl, 'SELECT state FROM signing_keys ORDER BY state')).toEqual([
      { state: 'current' },
      { state: 'next' },
    ]);
  });

  test('rotate ten times under load on two processes without invalidating a token', async () => {
    const other = await startTestServer({ clock: () => now, stores: server.stores });
    const processes = [endpoints, endpointsOf(other.publicUrl)] as const;
    const tokens: string[] = [];
    let rotating = true;
    const load = processes.map(async (process) => {
      while (rotating) tokens.push(await process.accessToken(analyst));
    });
    for (let round = 0; round < 10; round++) {
      await rotate();
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    rotating = false;
    await Promise.all(load);
    const { kid } = await server.core.signingKeys.current();
    await eventuallyIs(
      async () => decodeProtectedHeader(await processes[1].accessToken(analyst)).kid,
      (seen) => seen === kid,
    );
    expect(new Set(tokens.map((token) => decodeProtectedHeader(token).kid)).size).toBeGreaterThan(5);
    const keys = keySet();
    for (const token of tokens) await jwtVerify(token, keys, { issuer: 'http://localhost:4000' });
    for (const token of tokens.slice(0, 50)) {
      expect((await processes[1].introspect(reports, token)).json['active']).toBe(true);
    }
    await other.close();
  });

  test('stay published after their retirement until their last token has expired', async () => {
    const { kid } = await server.core.signingKeys.current();
    await rotate();
    const published = async () => {
      const body = (await (await fetch(`${server.publicUrl}/.well-known/jwks.json`)).json()) as {
        keys: { kid: string }[];
      };
      return body.keys.map((key) => key.kid);
    };
    now += 3_600_000;
    await rotate();
    expect(await published()).toContain(kid);
    now += 61_000;
    await rotate();
    expect(await published()).not.toContain(kid);
  });

  test('are rotated once when they reach their maximum age', async () => {
    const byAge = () => server.core.change((transaction) => rotateOldSigningKey(transaction, server.core, actor, 90));
    expect(await byAge()).toBe(false);
    now += 90 * 86_400_000;
    expect((await Promise.all([byAge(), byAge()])).filter(Boolean)).toHaveLength(1);
  });
});

test.each(['EdDSA', 'PS256', 'RS256'])('signs JWTs with %s if it is configured', async (alg) => {
  const other = await startTestServer({ env: { KEYTURN_SIGNING_ALG: alg } });
  const client = endpointsOf(other.publicUrl);
  await register(other.core, {
    name: 'API',
    kind: 'resource_server',
    resource: reportsResource,
    information: ['reports'],
    tokenFormat: 'jwt',
  });
  const integration = await register(other.core, { name: 'A', kind: 'integration', scope: 'reports:read' });
  const keys = createRemoteJWKSet(new URL(`${other.publicUrl}/.well-known/jwks.json`));
  const { protectedHeader } = await jwtVerify(await client.accessToken(integration), keys);
  expect(protectedHeader.alg).toBe(alg);
  await other.close();
});
