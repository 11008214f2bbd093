import { Redis } from 'ioredis';
import { createLog } from '../src/observability/log.ts';
import { type AdminServer, startAdminServer } from './admin/admin-server.ts';
import { endpointsOf, register, registerAll } from './oauth/fixture.ts';
import { send } from './oauth/http-client.ts';
import { askPostgres } from './services.ts';

/** Every secret that was issued or presented. None may be stored or logged in plaintext. */
const handedOut = new Set<string>();
const lines: string[] = [];
let server: AdminServer;

beforeAll(async () => {
  const log = createLog('trace', { write: (line) => void lines.push(line) });
  server = await startAdminServer({ log });
  await useEverything();
  await server.core.usage.flush();
  await server.core.usedScopes.flush();
}, 60_000);
afterAll(() => server.close());

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
  await endpoints.token({ id: clients.shop.id, secret: old.secret });
  await endpoints.token({ id: old.secret, secret: clients.shop.id });
  await endpoints.token(clients.shop, { access_key: token, scope: old.secret });
  await endpoints.token(clients.shop, { grant_type: old.secret });
  const misplaced = `client_secret=${old.secret}&token=${token}&access_key=${key.access_key}`;
  await send(`${server.publicUrl}/oauth2/token?${misplaced}`, { method: 'POST' });
  await send(`${server.publicUrl}/nowhere?${misplaced}`);
  await send(`${server.publicUrl}/oauth2/token`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'user-agent': 'sweep' },
  });
  await server.adminFetch('/clients', { token: old.secret });
  await server.adminFetch(`/clients/${old.secret}`);
  await server.adminFetch(`/${token}`);
  await server.adminFetch('/clients', { method: 'POST', body: { name: 'x', kind: old.secret } });
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
