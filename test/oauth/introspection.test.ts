import {
  deleteClient,
  disableClient,
  enableClient,
  generateClient,
  revokeClientTokens,
  updateClient,
} from '../../src/clients/manage-clients.ts';
import { checksum, generateSecret } from '../../src/credentials/credential-format.ts';
import type { Transaction } from '../../src/storage/database.ts';
import { eventually } from '../eventually.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { commandsDuring } from '../monitor-redis.ts';
import { askPostgres } from '../services.ts';
import {
  actor,
  endpointsOf,
  inactive,
  invoicesResource,
  ordersResource,
  register,
  registerAll,
  type TestClient,
} from './fixture.ts';
import { post } from './http-client.ts';

let server: TestServer;
let clients: Awaited<ReturnType<typeof registerAll>>;
let api: ReturnType<typeof endpointsOf>;
/** Difference between this deployment's clock and the real time, in milliseconds. */
let ahead = 0;
const clock = () => Date.now() + ahead;

beforeAll(async () => {
  server = await startTestServer({ clock, env: { KEYTURN_FAILURES_PER_MINUTE: '0' } });
  clients = await registerAll(server.core);
  api = endpointsOf(server.publicUrl);
});

afterEach(() => {
  ahead = 0;
});

afterAll(() => server?.close());

describe('a live token', () => {
  it('is described completely, in an answer that is not cached', async () => {
    const startedAt = Math.floor(Date.now() / 1_000);
    const token = await api.accessToken(clients.partner);
    const answer = await api.introspect(clients.orders, token);
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({
      active: true,
      client_id: clients.partner.id,
      sub: clients.partner.id,
      scope: 'orders:read',
      aud: ordersResource,
      iss: 'http://localhost:4000',
      iat: expect.any(Number),
      exp: (answer.json['iat'] as number) + 3600,
      token_type: 'Bearer',
      jti: expect.stringMatching(/^[\w-]{43}$/),
    });
    expect(answer.json['iat']).toBeGreaterThanOrEqual(startedAt);
    expect(answer.text).not.toContain(token.slice(4, 20));
    expect(answer.headers).toMatchObject({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
  });

  it('shows each resource server its own part of the scope, and nothing of others', async () => {
    const token = await api.accessToken(clients.partner);
    expect((await api.introspect(clients.invoices, token)).json).toMatchObject({
      aud: invoicesResource,
      scope: 'invoices:read',
    });
  });

  it('is found with any token_type_hint (RFC 7662 §2.1)', async () => {
    const token = await api.accessToken(clients.shop);
    for (const hint of ['access_token', 'refresh_token', 'unknown', '__proto__', '']) {
      expect(await api.introspect(clients.orders, token, { token_type_hint: hint })).toMatchObject({
        status: 200,
        json: { active: true },
      });
    }
  });

  it('is live until the second in which it expires', async () => {
    const token = await api.accessToken(clients.shop);
    const { json } = await api.introspect(clients.orders, token);
    const end = (json['exp'] as number) * 1_000;
    ahead = end - Date.now() - 1_000;
    expect((await api.introspect(clients.orders, token)).json).toMatchObject({ active: true });
    ahead = end - Date.now();
    expect((await api.introspect(clients.orders, token)).text).toBe(inactive);
  });
});

describe('introspection answers exactly {"active":false}', () => {
  it('to clients that are not resource servers, even to the owner of the token (RFC 7662 §4)', async () => {
    // Include a token without any scope, which every resource server may introspect.
    for (const token of [await api.accessToken(clients.shop), await api.accessToken(clients.bare)]) {
      for (const caller of [clients.shop, clients.partner, clients.bare]) {
        expect(await api.introspect(caller, token)).toMatchObject({ status: 200, text: inactive });
      }
      expect((await api.introspect(clients.orders, token)).json).toMatchObject({ active: true });
    }
  });

  it('to a resource server that the token is not for', async () => {
    const token = await api.accessToken(clients.shop);
    expect(await api.introspect(clients.invoices, token)).toMatchObject({ status: 200, text: inactive });
  });

  const jwt = (header: object) =>
    `${[header, { iss: 'http://localhost:4000', active: true, exp: 4_102_444_800 }]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.')}.AAAA`;

  it.each<[string, string]>([
    ['unknown', generateSecret('kta_')],
    ['with a wrong checksum', `${generateSecret('kta_').slice(0, -1)}_`],
    ['with the prefix of a client secret', generateSecret('kts_')],
    ['with the prefix of an operator token', generateSecret('kto_')],
    ['malformed', 'kta_'],
    ['of 64 kB', 'x'.repeat(64 * 1024)],
    ['of 64 kB with the right prefix', `kta_${'a'.repeat(64 * 1024)}`],
    ['of 64 kB of braces', '{'.repeat(64 * 1024)],
    ['shaped like a JWT', jwt({ alg: 'ES256', typ: 'at+jwt', kid: 'x' })],
    ['shaped like an unsigned JWT', jwt({ alg: 'none', typ: 'at+jwt' })],
    ['of dots', '..'],
    ['that is a wildcard', '*'],
    ['with a wildcard after the prefix', 'kta_*'],
    ['that is a Redis Cluster hash tag', '{tag}'],
    ['with a line break and a Redis command', 'x\r\nFLUSHALL\r\n'],
    ['with NUL', '\0'],
    ['named like a member of every object', '__proto__'],
    ['in another script', '令牌'],
    ['with a leading space', ` ${generateSecret('kta_')}`],
    ['that is JSON', '{"active":true}'],
  ])('for a token %s', async (_, token) => {
    const answer = await api.introspect(clients.orders, token);
    expect(answer).toMatchObject({ status: 200, text: inactive });
    expect(answer.headers).toMatchObject({
      'cache-control': 'no-store',
      'content-length': String(inactive.length),
      'content-type': 'application/json; charset=utf-8',
    });
  });

  it('for a live token with an additional character before or after it', async () => {
    const token = await api.accessToken(clients.shop);
    for (const other of [`${token} `, ` ${token}`, `${token}\0`, `${token}\n`, token.toUpperCase(), token.slice(4)]) {
      expect((await api.introspect(clients.orders, other)).text).toBe(inactive);
    }
  });

  it('for a live token with one changed character and a valid checksum', async () => {
    const token = await api.accessToken(clients.shop);
    const payload = token.slice(0, 46) + (token.charAt(46) === 'a' ? 'b' : 'a');
    expect((await api.introspect(clients.orders, payload + checksum(payload))).text).toBe(inactive);
  });

  it('with the same commands to Redis for a token that was never issued and for one that is for another server', async () => {
    const foreign = await api.accessToken(clients.shop);
    const { redisUrl, redisPrefix } = server.stores;
    const commandsFor = async (token: string) => {
      const commands = await commandsDuring(redisUrl, redisPrefix, async () => {
        expect((await api.introspect(clients.invoices, token)).text).toBe(inactive);
      });
      return commands.map(([name, ...keys]) => [name, keys.length]);
    };
    const unknown = await commandsFor(generateSecret('kta_'));
    expect(unknown).not.toEqual([]);
    expect(await commandsFor(foreign)).toEqual(unknown);
  });
});

describe('an introspection request', () => {
  it('is rejected without client authentication, so that nobody can test tokens', async () => {
    const token = await api.accessToken(clients.shop);
    const answer = await post(api.introspectionUrl, { token });
    expect(answer).toMatchObject({ status: 401, json: { error: 'invalid_client' } });
    expect(answer.headers['www-authenticate']).toBe('Basic realm="http://localhost:4000"');
    const withTheToken = await post(api.introspectionUrl, { token }, { headers: { Authorization: `Bearer ${token}` } });
    expect(withTheToken).toMatchObject({ status: 401, json: { error: 'invalid_client' } });
  });

  it('without a token is an invalid request', async () => {
    const answer = await api.introspect(clients.orders, '');
    expect(answer).toMatchObject({ status: 400, json: { error: 'invalid_request' } });
    expect(answer.headers['cache-control']).toBe('no-store');
  });

  it('with two tokens is an invalid request, because it is ambiguous', async () => {
    const token = await api.accessToken(clients.shop);
    const answer = await post(api.introspectionUrl, `token=${token}&token=x`, {
      basic: [clients.orders.id, clients.orders.secret],
    });
    expect(answer).toMatchObject({ status: 400, json: { error: 'invalid_request' } });
  });
});

describe('tokens end at once on the process that ends them and soon on another', () => {
  let second: TestServer;
  let secondApi: ReturnType<typeof endpointsOf>;

  beforeAll(async () => {
    second = await startTestServer({ stores: server.stores, clock });
    secondApi = endpointsOf(second.publicUrl);
  });

  afterAll(() => second?.close());

  type Case = [what: string, change: (transaction: Transaction, clientId: string) => Promise<unknown>];
  const cases: Case[] = [
    ['disabling its client', (transaction, id) => disableClient(transaction, server.core, actor, id)],
    ['revoking all tokens of its client', (transaction, id) => revokeClientTokens(transaction, server.core, actor, id)],
    ['removing its scope', (transaction, id) => updateClient(transaction, server.core, actor, id, { scope: '' })],
    [
      'deleting its client',
      async (transaction, id) => {
        await disableClient(transaction, server.core, actor, id);
        await deleteClient(transaction, server.core, actor, id);
      },
    ],
  ];

  async function liveToken(): Promise<{ client: TestClient; token: string }> {
    const client = await register(server.core, { name: 'Ending', kind: 'integration', scope: 'orders:read' });
    const token = await api.accessToken(client);
    for (const { introspect } of [api, secondApi]) {
      expect((await introspect(clients.orders, token)).json).toMatchObject({ active: true });
    }
    return { client, token };
  }

  /** Waits until the other process has followed the change. */
  function inactiveOnOther(token: string): Promise<void> {
    return eventually(async () => (await secondApi.introspect(clients.orders, token)).text === inactive);
  }

  it.each(cases)('%s', async (_, change) => {
    const { client, token } = await liveToken();
    await server.core.change((transaction) => change(transaction, client.id));
    expect((await api.introspect(clients.orders, token)).text).toBe(inactive);
    await inactiveOnOther(token);
  });

  it('revoking the token', async () => {
    const { client, token } = await liveToken();
    expect((await api.revoke(client, token)).status).toBe(200);
    expect((await api.introspect(clients.orders, token)).text).toBe(inactive);
    await inactiveOnOther(token);
  });

  it('a scope reduced on one process is reduced on both', async () => {
    const client = await register(server.core, {
      name: 'Narrowed',
      kind: 'integration',
      scope: 'orders:read orders:create',
    });
    const token = await api.accessToken(client);
    expect((await secondApi.introspect(clients.orders, token)).json).toMatchObject({
      scope: 'orders:read orders:create',
    });
    await server.core.change((transaction) =>
      updateClient(transaction, server.core, actor, client.id, { scope: 'orders:create' }),
    );
    expect((await api.introspect(clients.orders, token)).json).toMatchObject({ active: true, scope: 'orders:create' });
    const there = async () => (await secondApi.introspect(clients.orders, token)).json['scope'];
    await eventually(async () => (await there()) === 'orders:create');
  });

  it('a token requested with a scope does not get scopes that its client gets later', async () => {
    const client = await register(server.core, { name: 'Widened', kind: 'integration', scope: 'orders:read' });
    const asked = await api.accessToken(client, { scope: 'orders:read' });
    await server.core.change((transaction) =>
      updateClient(transaction, server.core, actor, client.id, { scope: 'orders:read orders:delete' }),
    );
    expect((await api.introspect(clients.orders, asked)).json).toMatchObject({ scope: 'orders:read' });
  });

  it('a token stays inactive when its client is enabled again, while a new one is live', async () => {
    const { client, token } = await liveToken();
    await server.core.change((transaction) => disableClient(transaction, server.core, actor, client.id));
    expect(await api.token(client)).toMatchObject({ status: 401 });
    await server.core.change((transaction) => enableClient(transaction, server.core, actor, client.id));
    expect((await api.introspect(clients.orders, token)).text).toBe(inactive);
    // Accept a new token even if this process learns of the change after the other process issued it.
    const fresh = await api.accessToken(client);
    expect((await secondApi.introspect(clients.orders, fresh)).json).toMatchObject({ active: true });
    expect((await secondApi.introspect(clients.orders, token)).text).toBe(inactive);
  });

  it('a client registered on one process is known on the other at once', async () => {
    const { client, clientSecret } = await server.core.change((transaction) =>
      generateClient(transaction, server.core, actor, { name: 'New', kind: 'integration', scope: 'orders:read' }),
    );
    const token = await secondApi.accessToken({ id: client.clientId, secret: clientSecret });
    expect((await api.introspect(clients.orders, token)).json).toMatchObject({ active: true });
  });

  describe('tokens end on another process although it receives no notifications', () => {
    beforeAll(async () => {
      await askPostgres(server.stores.databaseUrl, 'DROP TRIGGER changes_announce ON changes');
    });

    it.each(cases)('%s', async (_, change) => {
      const { client, token } = await liveToken();
      await server.core.change((transaction) => change(transaction, client.id));
      expect((await api.introspect(clients.orders, token)).text).toBe(inactive);
      await inactiveOnOther(token);
    });

    it('revoking the token', async () => {
      const { client, token } = await liveToken();
      expect((await api.revoke(client, token)).status).toBe(200);
      await inactiveOnOther(token);
    });
  });
});
