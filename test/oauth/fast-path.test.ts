import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as fc from 'fast-check';
import { disableClient } from '../../src/clients/manage-clients.ts';
import type { Core } from '../../src/core.ts';
import { generateSecret } from '../../src/credentials/credential-format.ts';
import { createAddressReader } from '../../src/http/client-address.ts';
import { createHostCheck } from '../../src/http/normalize-request.ts';
import { createRequestIds } from '../../src/http/response-headers.ts';
import { PlainRequest } from '../../src/internals/node-http.ts';
import { createFastPath } from '../../src/oauth/fast-path/fast-path.ts';
import { createFirstUses } from '../../src/oauth/first-use.ts';
import { createPublicApp } from '../../src/oauth/public-app.ts';
import { createLog } from '../../src/observability/log.ts';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { commandsDuring } from '../monitor-redis.ts';
import { actor, endpointsOf, ordersResource, register, registerAll, type TestClient, watchQueries } from './fixture.ts';
import { exchange } from './raw-exchange.ts';
import { type Cast, rawRequests } from './raw-requests.ts';

const runs = Number(process.env['FAST_PATH_RUNS'] ?? 3_000);
const seed = process.env['FAST_PATH_SEED'];
/** Time that a server waits for the rest of an incomplete request. No answer takes as long. */
const silenceMs = 1_500;
const unreadable = 'Content-Length: 0\r\nConnection: close\r\n\r\n';

let fast: AdminServer;
let slow: TestServer;
const lines: Record<'fast' | 'slow', string[]> = { fast: [], slow: [] };
let clients: Awaited<ReturnType<typeof registerAll>>;
let cast: Cast;

const pair = ({ id, secret }: TestClient) => [id, secret] as const;

beforeAll(async () => {
  // Disable the failure limit, because all clients fail often and use the same address.
  // Tokens live longer than a long run takes, because the two servers may see the end of one differently.
  const env = {
    KEYTURN_FAILURES_PER_MINUTE: '0',
    KEYTURN_ACCESS_TOKEN_TTL: '86400',
    KEYTURN_STANDALONE_KEYS: 'on',
  };
  const log = (to: string[]) => createLog('info', { write: (line) => void to.push(line) });
  fast = await startAdminServer({ storeDeadlineMs: 200, env, log: log(lines.fast) });
  slow = await startTestServer({
    storeDeadlineMs: 200,
    stores: fast.stores,
    env: { ...env, KEYTURN_FAST_PATH: 'off' },
    log: log(lines.slow),
  });
  clients = await registerAll(fast.core);
  cast = await assemble();
});

afterAll(async () => {
  await slow?.close();
  await fast?.close();
});

/** Creates clients, keys and tokens in every state. */
async function assemble(): Promise<Cast> {
  const api = endpointsOf(fast.publicUrl);
  const keyed = await register(fast.core, {
    name: 'Keyed',
    kind: 'integration',
    scope: 'orders:read',
    accessKey: 'required',
  });
  const scopes = [
    { name: 'orders.read', aliases: ['read:orders'], description: 'Read', information: 'orders', action: 'read' },
    { name: 'orders.export', description: 'Export' },
    { name: 'shared', description: 'Offered twice' },
  ];
  for (const [client, declared] of [
    [clients.orders, scopes],
    [clients.invoices, scopes.slice(2)],
  ] as const) {
    await fast.adminFetch(`/clients/${client.id}`, { method: 'PATCH', body: { scopes: declared } });
  }
  const naming = await register(fast.core, {
    name: 'By names',
    kind: 'integration',
    scope: 'orders.read orders:create orders.export shared',
    defaultScope: 'orders.read orders.export',
  });
  const detailed = await register(fast.core, {
    name: 'Detailed',
    kind: 'integration',
    scope: 'orders:read orders:create products:read',
    defaultScope: 'orders:read',
    tokenTtlSeconds: 43_200,
    claims: { tenant: 'acme', level: 3 },
  });
  const limited = (allowedNetworks: string[], networkMode: 'watch' | 'enforce') =>
    register(fast.core, {
      name: 'Limited',
      kind: 'integration',
      scope: 'orders:read',
      allowedNetworks,
      networkMode,
    });
  const [near, far, watched] = [
    await limited(['127.0.0.0/8'], 'enforce'),
    await limited(['203.0.113.0/24'], 'enforce'),
    await limited(['203.0.113.0/24'], 'watch'),
  ];
  const disabled = await register(fast.core, { name: 'Disabled', kind: 'integration', scope: 'orders:read' });
  const regenerated = await register(fast.core, { name: 'Retiring', kind: 'integration', scope: 'orders:read' });
  const tokenOfDisabled = await api.accessToken(disabled);
  await fast.core.change((transaction) => disableClient(transaction, fast.core, actor, disabled.id));
  const review = await fast.adminFetch(`/clients/${regenerated.id}/regeneration/review`, { method: 'POST', body: {} });
  const answer = await fast.adminFetch(`/clients/${regenerated.id}/regenerate`, {
    method: 'POST',
    body: { confirmation: review.json.confirmation },
  });
  const renewed = { id: answer.json.client_id, secret: answer.json.client_secret };

  const contact = await fast.adminFetch('/contacts', {
    method: 'POST',
    body: { name: 'Ann', email: 'ann@example.com' },
  });
  const key = async (options: object) => {
    const { json } = await fast.adminFetch(`/contacts/${contact.json.id}/access-keys`, {
      method: 'POST',
      body: { permissions: { orders: ['read'] }, ...options },
    });
    return json as { id: string; access_key: string };
  };
  const goodKey = await key({ name: 'good', claims: { level: 4 } });
  const freshKey = await key({ name: 'never used by a token' });
  const namedKey = await key({ name: 'by names', permissions: {}, scope: 'read:orders orders.export' });
  const alone = await key({ name: 'alone', standalone: true, claims: { level: 5 } });
  const aloneHere = await key({ name: 'alone from here', standalone: true, allowed_networks: ['203.0.113.0/24'] });
  const aloneUnused = await key({ name: 'alone and never used', standalone: true });
  for (const { access_key: value } of [alone, aloneHere]) {
    await api.introspect(clients.orders, value, { client_address: '203.0.113.7' });
  }
  const disabledKey = await key({ name: 'disabled' });
  await fast.adminFetch(`/access-keys/${disabledKey.id}/disable`, { method: 'POST', body: {} });

  const revoked = await api.accessToken(clients.shop);
  await api.revoke(clients.shop, revoked);
  const integrations = [
    clients.shop,
    clients.partner,
    clients.bare,
    keyed,
    renewed,
    regenerated,
    detailed,
    naming,
    near,
    watched,
  ];
  const accessKeys = [goodKey, freshKey, namedKey, disabledKey].map(({ access_key: value }) => value);
  accessKeys.push(generateSecret('ktk_'));
  const all: Cast = {
    integrations: integrations.map(pair),
    servers: [clients.orders, clients.invoices].map(pair),
    strangers: [
      pair(disabled),
      pair(far),
      [clients.shop.id, generateSecret('kts_')],
      [renewed.id, clients.shop.secret],
      ['kti_0000000000000000000000', generateSecret('kts_')],
      ['__proto__', 'x'],
    ],
    tokens: [
      await api.accessToken(clients.shop),
      await api.accessToken(clients.partner, { scope: 'invoices:read' }),
      await api.accessToken(clients.bare),
      await api.accessToken(clients.shop, { resource: ordersResource }),
      await api.accessToken(keyed, { access_key: goodKey.access_key }),
      await api.accessToken(detailed),
      await api.accessToken(detailed, { access_key: goodKey.access_key }),
      await api.accessToken(naming),
      await api.accessToken(naming, { scope: 'read:orders' }),
      await api.accessToken(naming, { access_key: namedKey.access_key }),
      await api.accessToken(naming, { scope: 'shared', resource: ordersResource }),
      ...[alone, aloneHere, aloneUnused, goodKey].map(({ access_key: value }) => value),
      (await api.exchangeKey(alone.access_key)).json['access_token'] as string,
      revoked,
      tokenOfDisabled,
      generateSecret('kta_'),
      'kta_x',
      'x.y.z',
      '{"a":1}',
      clients.shop.secret,
    ],
    accessKeys,
    resources: [ordersResource],
  };
  // Cache every client in each process, as it is the case a moment after the start.
  for (const server of [fast, slow]) {
    for (const client of [...integrations, clients.orders, clients.invoices])
      await endpointsOf(server.publicUrl).token(client);
  }
  return all;
}

describe('a server with the fast path and one without it', () => {
  it(`give the same answers to ${runs} random requests, in status, headers and body`, async () => {
    const [fastPort, slowPort] = [fast, slow].map(({ publicUrl }) => Number(new URL(publicUrl).port)) as [
      number,
      number,
    ];
    const statuses = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(rawRequests(cast), async (pieces) => {
        const both = () => Promise.all([exchange(fastPort, pieces, silenceMs), exchange(slowPort, pieces, silenceMs)]);
        let [ours, reference] = await both();
        // Retry a 503 and a missing answer, because whether a store and a busy machine are in time is random. So is whether
        // unreadable bytes arrive before an answer that closes the connection.
        const isLate = () => ours === '' || reference === '' || / 503 /.test(ours + reference);
        const readsMore = () => ours.endsWith(unreadable) !== reference.endsWith(unreadable);
        for (let time = 0; time < 5 && ours !== reference && (isLate() || readsMore()); time++) {
          [ours, reference] = await both();
        }
        const status = reference.slice(9, 12);
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
        expectAlike(ours, reference);
      }),
      { numRuns: runs, ...(seed ? { seed: Number(seed) } : {}) },
    );
    // Require successful requests too, because comparing rejections only would show little.
    expect(statuses.get('200') ?? 0).toBeGreaterThan(runs * 0.2);
    expect([...statuses.keys()].sort()).toEqual(
      expect.arrayContaining(['200', '400', '401', '404', '405', '415', '421']),
    );
  }, 3_600_000);

  it('count use and write logs alike', async () => {
    const seen = [observe({ ...fast, lines: lines.fast }), observe({ ...slow, lines: lines.slow })];
    const api = [fast, slow].map(({ publicUrl }) => endpointsOf(publicUrl));
    for (const { token, introspect } of api) {
      await token(clients.shop, { scope: 'orders:read' }, { headers: { 'User-Agent': 'shop/1.0' } });
      await token(clients.shop, { scope: 'nothing:read' });
      await token({ ...clients.shop, secret: generateSecret('kts_') });
      await introspect(clients.orders, cast.tokens[0] as string);
      await introspect(clients.orders, generateSecret('kta_'));
    }
    const [ours, reference] = seen.map(({ stop }) => stop());
    expect(ours?.used).toHaveLength(8);
    expect(ours?.logged).toHaveLength(5);
    expect(ours).toEqual(reference);
  });
});

describe('the fast path', () => {
  let server: Server;
  let left: string[];
  let api: ReturnType<typeof endpointsOf>;

  beforeAll(async () => {
    left = [];
    const slowPath: RequestListener = (request, response) => {
      left.push(request.url ?? '');
      application(request, response);
    };
    const withoutIt = { ...fast.core, config: { ...fast.core.config, fastPath: false } };
    const application = createPublicApp(withoutIt, {
      isDraining: () => false,
      isOverloaded: () => false,
      clientCa: () => undefined,
    }).listener;
    const listener = createFastPath(fast.core, sharedOf(fast.core), slowPath);
    server = createServer({ IncomingMessage: PlainRequest }, listener).listen(0, '127.0.0.1');
    await once(server, 'listening');
    api = endpointsOf(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  });

  afterAll(() => server.close());

  it('answers plain requests itself', async () => {
    const token = await api.accessToken(clients.shop);
    for (const client of [clients.shop, clients.orders]) await api.token(client);
    left = [];
    expect((await api.token(clients.shop)).status).toBe(200);
    expect((await api.token(clients.shop, { scope: 'orders:read', resource: ordersResource })).status).toBe(200);
    expect((await api.introspect(clients.orders, token)).json['active']).toBe(true);
    expect(left).toEqual([]);
  });

  it('rejects wrong credentials, accepts those that are not cached, and reports inactive tokens itself', async () => {
    left = [];
    expect((await api.token({ ...clients.shop, secret: generateSecret('kts_') })).status).toBe(401);
    expect((await api.introspect(clients.orders, generateSecret('kta_'))).json).toEqual({ active: false });
    const fresh = await register(fast.core, { name: 'Not cached', kind: 'integration', scope: 'orders:read' });
    expect((await api.token(fresh)).status).toBe(200);
    expect(left).toEqual([]);
  });

  it('leaves unusual requests and other errors to the application', async () => {
    left = [];
    expect((await api.token(clients.shop, { scope: 'nothing:read' })).status).toBe(400);
    expect((await api.token(clients.shop, {}, { headers: { DPoP: 'x.y.z' } })).status).toBe(400);
    expect((await api.token(clients.shop, { unknown: 'x' })).status).toBe(200);
    expect(left).toHaveLength(3);
  });

  it('rejects a client that an operator has just disabled', async () => {
    const client = await register(fast.core, { name: 'Soon disabled', kind: 'integration', scope: 'orders:read' });
    const token = await api.accessToken(client);
    expect((await api.introspect(clients.orders, token)).json['active']).toBe(true);
    await fast.core.change((transaction) => disableClient(transaction, fast.core, actor, client.id));
    expect((await api.token(client)).status).toBe(401);
    expect((await api.introspect(clients.orders, token)).json).toEqual({ active: false });
  });

  it('rejects a revoked token at once', async () => {
    const token = await api.accessToken(clients.shop);
    for (let time = 0; time < 3; time++) {
      expect((await api.introspect(clients.orders, token)).json['active']).toBe(true);
    }
    await endpointsOf(fast.publicUrl).revoke(clients.shop, token);
    expect((await api.introspect(clients.orders, token)).json).toEqual({ active: false });
  });
});

describe('the store commands of a request whose client is cached', () => {
  const commandsOf = async (work: () => Promise<unknown>) => {
    const { redisUrl, redisPrefix } = fast.stores;
    return (await commandsDuring(redisUrl, redisPrefix, work)).map(([name]) => name);
  };

  it.each([
    ['with the fast path', () => fast],
    ['without the fast path', () => slow],
  ])('%s: one SET for a token, at most one MGET for an introspection, and no PostgreSQL query', async (_, serverOf) => {
    const { core, publicUrl } = serverOf();
    const api = endpointsOf(publicUrl);
    const tokens = [await api.accessToken(clients.shop)];
    const queries = watchQueries(core);
    const forToken = await commandsOf(async () => tokens.push(await api.accessToken(clients.shop)));
    const forLive = await commandsOf(() => api.introspect(clients.orders, tokens[0] as string));
    const forNear = await commandsOf(() => api.introspect(clients.orders, tokens[0] as string));
    const forUnknown = await commandsOf(() => api.introspect(clients.orders, generateSecret('kta_')));
    const forImpossible = await commandsOf(() => api.introspect(clients.orders, 'kta_x'));
    queries.stop();
    expect({ forToken, forLive, forNear, forUnknown, forImpossible }).toEqual({
      forToken: ['SET'],
      forLive: ['MGET'],
      forNear: [],
      forUnknown: ['MGET'],
      forImpossible: [],
    });
    expect(queries.clientLookups()).toEqual([]);
  });

  it('combine concurrent look-ups of tokens into one command with a separate result for each', async () => {
    const { core, publicUrl } = slow;
    const api = endpointsOf(publicUrl);
    const ofShop = await api.accessToken(clients.shop);
    const ofPartner = await api.accessToken(clients.partner, { scope: 'invoices:read' });
    const tokens = [ofShop, generateSecret('kta_'), ofPartner, ofShop];
    const found: unknown[] = [];
    const commands = await commandsOf(async () => {
      found.push(...(await Promise.all(tokens.map((token) => core.tokenStore.find(token)))));
    });
    expect(commands).toEqual(['MGET']);
    const { shop, partner } = clients;
    expect(found).toMatchObject([{ clientId: shop.id }, undefined, { clientId: partner.id }, { clientId: shop.id }]);
  });
});

function expectAlike(ours: string, reference: string): void {
  if (!ours.endsWith(unreadable) || !reference.endsWith(unreadable)) {
    expect(ours).toBe(reference);
    return;
  }
  // Ignore the last answer: unreadable bytes close the connection at once, so the servers may differ in how much they
  // answered before.
  const [some, others] = [ours, reference].map((text) => text.split(/(?=HTTP\/1\.1 )/).slice(0, -1)) as [
    string[],
    string[],
  ];
  const count = Math.min(some.length, others.length);
  expect(some.slice(0, count)).toEqual(others.slice(0, count));
}

/** Records everything that a server counts and logs, until stopped. */
function observe({ core, lines }: { core: Core; lines: string[] }) {
  const { usage } = core;
  const { issued, used: usedAgain, failed, refused, rejected } = usage;
  const counters = { issued, used: usedAgain, failed, refused, rejected };
  const used: unknown[] = [];
  for (const [name, count] of Object.entries(counters) as [keyof typeof counters, (...args: unknown[]) => void][]) {
    usage[name] = (...args: unknown[]) => {
      used.push([name, ...args.map(withoutVariables)]);
      count(...args);
    };
  }
  lines.length = 0;
  return {
    stop: () => {
      Object.assign(usage, counters);
      // Ignore the values of time, ID and duration in each line, but keep their presence and order. Ignore lines that no
      // request has caused, such as those of a late read of changes.
      const requests = lines.filter((line) => line.includes('"path":'));
      const logged = requests.map((line) => line.replace(/"(time|id)":"[^"]+"|"(ms)":[\d.]+/g, '"$1$2"'));
      return { used, logged };
    },
  };
}

/** Returns a value without the members that differ for every rejected request. */
function withoutVariables(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('reason' in value)) return value;
  const { id: _id, at: _at, ...rest } = value as Record<string, unknown>;
  return rest;
}

function sharedOf(core: Core) {
  const { config } = core;
  return {
    addressOf: createAddressReader(config.trustProxy),
    isKnownHost: createHostCheck([new URL(config.issuer).host, ...config.allowedHosts]),
    isOverloaded: () => false,
    requestIdOf: createRequestIds(config.trustProxy),
    firstUses: createFirstUses(core),
  };
}
