import { Redis } from 'ioredis';
import { createLog } from '../src/observability/log.ts';
import { type AdminServer, startAdminServer } from './admin/admin-server.ts';
import { freePort } from './free-port.ts';
import { createTestStores } from './harness.ts';
import { endpointsOf, register, registerAll } from './oauth/fixture.ts';
import { send } from './oauth/http-client.ts';
import { askPostgres } from './services.ts';
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts';

/** Every secret that was issued or presented. None may be stored or logged in plaintext. */
const handedOut = new Set<string>();
const lines: string[] = [];
/** Everything that the server has sent to PostgreSQL and Redis: statements with their parameters, and commands. */
const sent = { postgres: '', redis: '' };
/** Bodies of the answers to requests that the server must reject. */
const rejections: string[] = [];
const proxies: TcpProxy[] = [];
let server: AdminServer;

beforeAll(async () => {
  const log = createLog('trace', { write: (line) => void lines.push(line) });
  const stores = await createTestStores();
  const watched = async (url: string, store: keyof typeof sent) => {
    const proxy = await startTcpProxy(url, undefined, (data) => {
      sent[store] += data.toString('latin1');
    });
    proxies.push(proxy);
    return proxy.url;
  };
  server = await startAdminServer({
    log,
    env: { KEYTURN_PORTAL_PORT: String(await freePort()) },
    stores: {
      ...stores,
      databaseUrl: await watched(stores.databaseUrl, 'postgres'),
      redisUrl: await watched(stores.redisUrl, 'redis'),
    },
  });
  await useEverything();
  await server.core.usage.flush();
  await server.core.usedScopes.flush();
});
afterAll(async () => {
  await server.close();
  for (const proxy of proxies) await proxy.close();
});

function keep<T>(value: T): T {
  for (const [secret] of JSON.stringify(value).matchAll(/kt[skao]_[0-9A-Za-z]{49}|eyJ[\w-]+\.[\w-]+\.[\w-]+/g)) {
    handedOut.add(secret);
  }
  return value;
}

/**
 * Runs every operation that creates, reveals, accepts or refuses a secret, also with wrong secrets and in wrong places.
 */
async function useEverything(): Promise<void> {
  const endpoints = endpointsOf(server.publicUrl);
  const clients = keep(await registerAll(server.core));
  const admin = async (path: string, method = 'POST', body?: unknown) =>
    keep((await server.adminFetch(path, { method, ...(body === undefined ? {} : { body }) })).json);
  keep(await server.operatorToken());
  const reports = keep(
    await register(server.core, {
      name: 'Reports',
      kind: 'resource_server',
      resource: 'https://reports.example/',
      information: ['reports'],
      tokenFormat: 'jwt',
    }),
  );
  const analyst = keep(await register(server.core, { name: 'A', kind: 'integration', scope: 'reports:read' }));
  const jwt = keep((await endpoints.token(analyst)).json)['access_token'] as string;
  await endpoints.introspect(reports, jwt);

  const made = await admin('/clients', 'POST', { name: 'Made', kind: 'integration', scope: 'orders:read' });
  await admin(`/clients/${made.client_id}/secret/reveal`);
  const review = await admin(`/clients/${made.client_id}/regeneration/review`);
  await admin(`/clients/${made.client_id}/regenerate`, 'POST', { confirmation: review.confirmation });
  await admin(`/clients/${made.client_id}/authorization-token`);
  const contact = await admin('/contacts', 'POST', { name: 'Ann', email: 'ann@example.com' });
  await admin(`/contacts/${contact.id}/operator-token`);
  const key = await admin(`/contacts/${contact.id}/access-keys`, 'POST', {
    name: 'Key',
    permissions: { orders: ['read'] },
  });
  await admin(`/access-keys/${key.id}/reveal`);

  const old = { id: made.client_id, secret: made.client_secret };
  const token = keep((await endpoints.token(old, { access_key: key.access_key })).json)['access_token'] as string;
  await endpoints.introspect(clients.orders, token, { access_key: key.access_key });
  await endpoints.revoke(clients.shop, token);
  await endpoints.revoke(old, token);
  const reject = async (asking: Promise<{ status: number; text: string }>) => {
    const { status, text } = await asking;
    if (status < 400) throw new Error(`not rejected: ${status}`);
    rejections.push(text);
  };
  await reject(endpoints.token({ id: clients.shop.id, secret: old.secret }));
  await reject(endpoints.token({ id: old.secret, secret: clients.shop.id }));
  await reject(endpoints.token(clients.shop, { access_key: token, scope: old.secret }));
  await reject(endpoints.token(clients.shop, { grant_type: old.secret }));
  const misplaced = `client_secret=${old.secret}&token=${token}&access_key=${key.access_key}`;
  await reject(send(`${server.publicUrl}/oauth2/token?${misplaced}`, { method: 'POST' }));
  await reject(send(`${server.publicUrl}/nowhere?${misplaced}`));
  const headers = { authorization: `Bearer ${token}`, 'user-agent': 'sweep' };
  await reject(send(`${server.publicUrl}/oauth2/token`, { method: 'POST', headers }));
  await reject(server.adminFetch('/clients', { token: old.secret }));
  await reject(server.adminFetch(`/clients/${old.secret}`));
  await reject(server.adminFetch(`/${token}`));
  await reject(server.adminFetch('/clients', { method: 'POST', body: { name: 'x', kind: old.secret } }));
  await reject(server.adminFetch('/clients', { method: 'POST', body: { name: 'x', [old.secret]: token } }));
  const { confirmation } = await admin(`/clients/${analyst.id}/regeneration/review`);
  const handover = await admin(`/clients/${analyst.id}/handover`, 'POST', { confirmation, email: 'ann@example.com' });
  handedOut.add(handover.url.split('/').at(-1));
  const page = `${server.portalUrl}${new URL(handover.url).pathname}`;
  const form = { origin: server.portalUrl, 'content-type': 'application/x-www-form-urlencoded' };
  keep((await send(page, { method: 'POST', headers: form, body: `code=${handover.code}` })).text);
  await admin('/leaks', 'POST', { values: [old.secret, token, key.access_key] });
}

function found(text: string): string[] {
  return [...handedOut].filter((secret) => text.includes(secret));
}

test('the operations of the test issue and present many secrets', () => {
  expect(handedOut.size).toBeGreaterThanOrEqual(15);
  expect(lines.length).toBeGreaterThan(30);
});

test('no log line contains a secret, even at level trace', () => {
  expect(found(lines.join(''))).toEqual([]);
});

test('no statement to PostgreSQL and no command to Redis contains a secret', () => {
  expect(sent.postgres).toContain('INSERT INTO secrets');
  expect(sent.redis.toLowerCase()).toContain('$3\r\nset');
  expect([found(sent.postgres), found(sent.redis)]).toEqual([[], []]);
});

test('no answer to a rejected request contains a secret', () => {
  expect(rejections).toHaveLength(12);
  expect(rejections.filter((text) => found(text).length > 0)).toEqual([]);
});

test('no metric contains a secret', async () => {
  const { status, text } = await send(`${server.adminUrl}/metrics`);
  expect([status, found(text)]).toEqual([200, []]);
});

test('no table of the database contains a secret, as text or as bytes', async () => {
  const { databaseUrl } = server.stores;
  const tables = await askPostgres(
    databaseUrl,
    `SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'`,
  );
  expect(tables.length).toBeGreaterThan(15);
  for (const { table_name } of tables) {
    // Search binary values as text as well as hexadecimal.
    const rows = await askPostgres(databaseUrl, `SELECT t::text AS row FROM ${table_name} t`);
    const text = rows.map(({ row }) => row).join('\n');
    const bytes = [...text.matchAll(/\\\\?x([0-9a-f]+)/g)].map(([, hex]) =>
      Buffer.from(hex ?? '', 'hex').toString('latin1'),
    );
    expect([table_name, found(text + bytes.join('\n'))]).toEqual([table_name, []]);
  }
});

test('no key and no value in Redis contains a secret', async () => {
  const redis = new Redis(server.stores.redisUrl);
  const keys = await redis.keys(`${server.stores.redisPrefix}*`);
  expect(keys.length).toBeGreaterThan(0);
  const values = await redis.mget(keys);
  redis.disconnect();
  expect(found([...keys, ...values].join('\n'))).toEqual([]);
});
