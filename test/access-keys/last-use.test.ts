import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { endpointsOf, registerAll } from '../oauth/fixture.ts';

const dayMs = 86_400_000;
let now = Date.now();
let server: AdminServer;
let endpoints: ReturnType<typeof endpointsOf>;
let clients: Awaited<ReturnType<typeof registerAll>>;
let contactId: string;

beforeAll(async () => {
  server = await startAdminServer({ clock: () => now });
  endpoints = endpointsOf(server.publicUrl);
  clients = await registerAll(server.core);
  const body = { name: 'Ann', email: 'ann@example.com' };
  contactId = (await server.adminFetch('/contacts', { method: 'POST', body })).json.id;
});
afterAll(async () => {
  for (const each of [...others, server]) await each.close();
});

/** Other processes of the same deployment. */
const others: AdminServer[] = [];

async function createKey(name: string): Promise<{ id: string; access_key: string }> {
  const body = { name, permissions: { orders: ['read'] } };
  return (await server.adminFetch(`/contacts/${contactId}/access-keys`, { method: 'POST', body })).json;
}

async function unusedFor(days: number): Promise<string[]> {
  const { json } = await server.adminFetch(`/access-keys?unused_for_days=${days}`);
  return (json.data as { name: string }[]).map(({ name }) => name).sort();
}

/** Advances the clock by a day, during which these keys are used. */
async function passDay(...keys: { access_key: string }[]): Promise<void> {
  now += dayMs;
  for (const { access_key } of keys) await endpoints.accessToken(clients.shop, { access_key });
  await server.core.usage.flush();
}

test('unused_for_days counts from the last use, or from the creation of a key that was never used', async () => {
  const steady = await createKey('steady');
  const once = await createKey('once');
  await createKey('never');
  await passDay(steady, once);
  for (let day = 0; day < 4; day++) await passDay(steady);
  expect(await unusedFor(3)).toEqual(['never', 'once']);
  await createKey('young');
  expect(await unusedFor(3)).toEqual(['never', 'once']);
  const { json } = await server.adminFetch(`/access-keys/${steady.id}`);
  expect(Date.parse(json.last_used_at)).toBe(now);
  for (let day = 0; day < 4; day++) await passDay();
  expect(await unusedFor(3)).toEqual(['never', 'once', 'steady', 'young']);
});

test('introspection with a key counts as use of the key', async () => {
  const key = await createKey('per request');
  const token = await endpoints.accessToken(clients.shop);
  await passDay();
  await passDay();
  await endpoints.introspect(clients.orders, token, { access_key: key.access_key });
  now += dayMs / 2;
  const fresh = await endpoints.accessToken(clients.shop);
  await endpoints.introspect(clients.orders, fresh, { access_key: key.access_key });
  await server.core.usage.flush();
  expect(await unusedFor(1)).not.toContain('per request');
});

test('a key that many processes use is written once an hour, without deadlocks', async () => {
  const keys = await Promise.all(Array.from({ length: 20 }, (_, index) => createKey(`busy ${index}`)));
  for (const _ of [1, 2]) others.push(await startAdminServer({ clock: () => now, stores: server.stores }));
  const all = [server, ...others];
  now += 2 * 3_600_000;
  for (let round = 0; round < 3; round++) {
    for (const [index, { publicUrl }] of all.entries()) {
      // Count the keys in a different order in each process.
      const ordered = index % 2 === 0 ? keys : keys.toReversed();
      for (const { access_key } of ordered) await endpointsOf(publicUrl).accessToken(clients.shop, { access_key });
    }
    await Promise.all(all.map(({ core }) => core.usage.flush()));
  }
  const { json } = await server.adminFetch('/access-keys?q=busy&limit=200');
  expect(new Set((json.data as { last_used_at: string }[]).map((key) => Date.parse(key.last_used_at)))).toEqual(
    new Set([now]),
  );
});
