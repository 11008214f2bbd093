import { randomUUID } from 'node:crypto';
import { type Permission, permissions } from '../../src/operators/permission.ts';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { endpointsOf, registerAll } from '../oauth/fixture.ts';

let server: AdminServer;
let endpoints: ReturnType<typeof endpointsOf>;
let clients: Awaited<ReturnType<typeof registerAll>>;
const tokens = new Map<Permission, string>();
let made = 0;

beforeAll(async () => {
  server = await startAdminServer();
  endpoints = endpointsOf(server.publicUrl);
  clients = await registerAll(server.core);
  for (const permission of permissions) tokens.set(permission, await server.operatorToken([permission]));
});
afterAll(() => server.close());

/** The states that an access key can be in when something is done to it. */
const states = ['own', 'foreign', 'missing', 'disabled', 'used'] as const;
type State = (typeof states)[number];

async function makeKey(state: State): Promise<{ id: string; value: string; contact: string }> {
  made += 1;
  const post = (path: string, body?: unknown) => server.adminFetch(path, { method: 'POST', body });
  const { json: contact } = await post('/contacts', { name: 'Ann', email: `ann${made}@example.com` });
  const { json: key } = await post(`/contacts/${contact.id}/access-keys`, {
    name: `Key ${made}`,
    permissions: { orders: ['read'] },
    // A foreign key is one that is not for the client that is used here.
    ...(state === 'foreign' ? { clients: [clients.partner.id] } : {}),
  });
  if (state === 'used') await endpoints.accessToken(clients.shop, { access_key: key.access_key });
  if (state === 'disabled') await post(`/access-keys/${key.id}/disable`);
  if (state === 'missing') await server.adminFetch(`/access-keys/${key.id}`, { method: 'DELETE' });
  return { id: state === 'missing' ? randomUUID() : key.id, value: key.access_key, contact: contact.id };
}

type Act = { method: string; path: string; body?: unknown; needs: Permission };
const acts: Record<string, Act> = {
  look: { method: 'GET', path: '', needs: 'integrations:view' },
  'Save Key': { method: 'PATCH', path: '', body: { permissions: { orders: ['create'] } }, needs: 'integrations:edit' },
  'Disable Key': { method: 'POST', path: '/disable', needs: 'integrations:edit' },
  enable: { method: 'POST', path: '/enable', needs: 'integrations:edit' },
  review: { method: 'POST', path: '/regeneration/review', needs: 'integrations:edit' },
  'Generate New Key': { method: 'POST', path: '/regenerate', body: {}, needs: 'integrations:edit' },
  'Remove Key': { method: 'DELETE', path: '', needs: 'integrations:edit' },
  reveal: { method: 'POST', path: '/reveal', needs: 'api_key:manage' },
};

/** What each act answers in each state, by whoever may do it. Without a confirmation, Generate New Key answers with the review. */
const answers: Record<string, Record<State, number>> = {
  look: { own: 200, foreign: 200, missing: 404, disabled: 200, used: 200 },
  'Save Key': { own: 200, foreign: 200, missing: 404, disabled: 200, used: 200 },
  'Disable Key': { own: 200, foreign: 200, missing: 404, disabled: 200, used: 200 },
  enable: { own: 200, foreign: 200, missing: 404, disabled: 200, used: 200 },
  review: { own: 200, foreign: 200, missing: 404, disabled: 200, used: 200 },
  'Generate New Key': { own: 428, foreign: 428, missing: 404, disabled: 428, used: 428 },
  'Remove Key': { own: 204, foreign: 204, missing: 404, disabled: 204, used: 409 },
  reveal: { own: 200, foreign: 200, missing: 404, disabled: 200, used: 200 },
};

describe.each(Object.entries(acts))('%s', (name, { method, path, body, needs }) => {
  test.each(states)('of a key that is %s: by every permission, each as the table says', async (state) => {
    for (const permission of permissions) {
      const { id } = await makeKey(state);
      const { status } = await server.adminFetch(`/access-keys/${id}${path}`, {
        method,
        body,
        token: tokens.get(permission),
      });
      const expected = permission === needs ? answers[name]?.[state] : 403;
      expect([permission, status]).toEqual([permission, expected]);
    }
  });
});

test.each([
  ['own', 200],
  ['foreign', 400],
  ['missing', 400],
  ['disabled', 400],
  ['used', 200],
] as const)('a token with a key that is %s: %d', async (state, expected) => {
  const { value } = await makeKey(state);
  expect((await endpoints.token(clients.shop, { access_key: value })).status).toBe(expected);
});

test('introspection with an access key costs no more round trips to any store than without, when warm', async () => {
  const { value } = await makeKey('own');
  const plain = await endpoints.accessToken(clients.shop);
  const keyed = await endpoints.accessToken(clients.shop, { access_key: value });
  await endpoints.introspect(clients.orders, keyed, { access_key: value });
  await endpoints.introspect(clients.orders, plain);
  const { database } = server.core;
  const { query, transaction } = database;
  let statements = 0;
  database.query = (async (...all: Parameters<typeof query>) => {
    // What polls in the background is no part of a request.
    if (!all[0].includes('pg_snapshot_xmin')) statements += 1;
    return await query(...all);
  }) as typeof query;
  database.transaction = (async (...all: Parameters<typeof transaction>) => {
    statements += 1;
    return await transaction(...all);
  }) as typeof transaction;
  const { tokenStore } = server.core;
  const { find } = tokenStore;
  let lookUps = 0;
  tokenStore.find = async (jti) => {
    lookUps += 1;
    return await find(jti);
  };
  const cost = async (work: () => Promise<unknown>) => {
    const before = lookUps;
    for (let round = 0; round < 20; round++) await work();
    return lookUps - before;
  };
  try {
    const without = await cost(() => endpoints.introspect(clients.orders, plain));
    const withKey = await cost(() => endpoints.introspect(clients.orders, keyed, { access_key: value }));
    expect(withKey).toBeLessThanOrEqual(without === 0 ? 20 : without);
    expect(statements).toBe(0);
  } finally {
    tokenStore.find = find;
    database.query = query;
    database.transaction = transaction;
  }
});
