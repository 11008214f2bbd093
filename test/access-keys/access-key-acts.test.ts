import { randomUUID } from 'node:crypto';
import { type Permission, permissions } from '../../src/contacts/contact.ts';
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

/** The states of an access key in which each act is tried. */
const states = ['own', 'foreign', 'missing', 'disabled', 'used'] as const;
type State = (typeof states)[number];

async function makeKey(state: State): Promise<{ id: string; value: string; contact: string }> {
  made += 1;
  const post = (path: string, body?: unknown) => server.adminFetch(path, { method: 'POST', body });
  const { json: contact } = await post('/contacts', { name: 'Ann', email: `ann${made}@example.com` });
  const { json: key } = await post(`/contacts/${contact.id}/access-keys`, {
    name: `Key ${made}`,
    permissions: { orders: ['read'] },
    // A foreign key is not for the client that is used here.
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
  regenerations: { method: 'GET', path: '/regenerations', needs: 'integrations:view' },
  undo: { method: 'POST', path: `/regenerations/${randomUUID()}/undo`, needs: 'integrations:edit' },
  finish: { method: 'POST', path: `/regenerations/${randomUUID()}/finish`, needs: 'integrations:edit' },
  usage: { method: 'GET', path: '/usage', needs: 'integrations:view' },
};

/**
 * The expected status of each act in each state, with permission. Without confirmation, Generate New Key returns a
 * review.
 */
const answers: Record<string, Record<State, number>> = {
  look: { own: 200, foreign: 200, missing: 404, disabled: 200, used: 200 },
  'Save Key': { own: 200, foreign: 200, missing: 404, disabled: 200, used: 200 },
  'Disable Key': { own: 200, foreign: 200, missing: 404, disabled: 200, used: 200 },
  enable: { own: 200, foreign: 200, missing: 404, disabled: 200, used: 200 },
  review: { own: 200, foreign: 200, missing: 404, disabled: 200, used: 200 },
  'Generate New Key': { own: 428, foreign: 428, missing: 404, disabled: 428, used: 428 },
  'Remove Key': { own: 204, foreign: 204, missing: 404, disabled: 204, used: 409 },
  reveal: { own: 200, foreign: 200, missing: 404, disabled: 200, used: 200 },
  regenerations: { own: 200, foreign: 200, missing: 404, disabled: 200, used: 200 },
  undo: { own: 404, foreign: 404, missing: 404, disabled: 404, used: 404 },
  finish: { own: 404, foreign: 404, missing: 404, disabled: 404, used: 404 },
  usage: { own: 200, foreign: 200, missing: 404, disabled: 200, used: 200 },
};

describe.each(Object.entries(acts))('%s', (name, { method, path, body, needs }) => {
  test.each(states)('of a key that is %s answers as in the table for every permission', async (state) => {
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
  ['Create Key', 'POST', 'integrations:edit', 201],
  ['the list of its keys', 'GET', 'integrations:view', 200],
] as const)('%s answers as in the table for an existing and a missing contact', async (_name, method, needs, done) => {
  const { contact } = await makeKey('own');
  for (const [id, answer] of [
    [contact, done],
    [randomUUID(), 404],
  ] as const) {
    for (const permission of permissions) {
      const { status } = await server.adminFetch(`/contacts/${id}/access-keys`, {
        method,
        ...(method === 'POST' ? { body: { name: `Key of ${permission}`, permissions: { orders: ['read'] } } } : {}),
        token: tokens.get(permission),
      });
      expect([permission, status]).toEqual([permission, permission === needs ? answer : 403]);
    }
  }
});

test.each([
  ['own', 200],
  ['foreign', 400],
  ['missing', 400],
  ['disabled', 400],
  ['used', 200],
] as const)('a token request with a key that is %s gets %d', async (state, expected) => {
  const { value } = await makeKey(state);
  expect((await endpoints.token(clients.shop, { access_key: value })).status).toBe(expected);
});

describe('the store accesses of a request with warm caches', () => {
  /**
   * Counts the statements and token store accesses of some requests. @param remembered whether the token's record is
   * cached.
   */
  async function cost(work: () => Promise<{ status: number }>, remembered = false) {
    const { unlimitedDatabase: database, tokenStore } = server.core;
    const { query, transaction } = database;
    const { find, peek, save } = tokenStore;
    const seen = { statements: 0, finds: 0, saves: 0 };
    await work();
    database.query = (async (...all: Parameters<typeof query>) => {
      // Ignore polls and counters in the background, which are not part of a request.
      if (!/^SELECT 1$|changes|pg_locks|usage_|access_key_scopes/.test(all[0])) seen.statements += 1;
      return await query(...all);
    }) as typeof query;
    const records = new Map<string, Awaited<ReturnType<typeof find>>>();
    tokenStore.find = async (jti) => {
      seen.finds += 1;
      const record = await find(jti);
      records.set(jti, record);
      return record;
    };
    tokenStore.peek = (jti) => (remembered ? records.get(jti) : undefined);
    tokenStore.save = async (...all) => {
      seen.saves += 1;
      await save(...all);
    };
    try {
      if (remembered) await work();
      seen.finds = 0;
      for (let round = 0; round < 10; round++) expect((await work()).status).toBe(200);
      return seen;
    } finally {
      Object.assign(tokenStore, { find, peek, save });
      Object.assign(database, { query, transaction });
    }
  }

  test.each([
    ['one look-up of the token', false, { statements: 0, finds: 10, saves: 0 }],
    ['nothing within the second that a token is cached', true, { statements: 0, finds: 0, saves: 0 }],
  ])('an introspection costs %s, with and without an access key', async (_name, remembered, expected) => {
    const { value } = await makeKey('own');
    const plain = await endpoints.accessToken(clients.shop);
    const keyed = await endpoints.accessToken(clients.shop, { access_key: value });
    const form = { access_key: value, used_scope: 'orders:read' };
    const introspect = (token: string, more = {}) =>
      cost(() => endpoints.introspect(clients.orders, token, more), remembered);
    expect(await introspect(plain)).toEqual(expected);
    expect(await introspect(keyed)).toEqual(expected);
    expect(await introspect(plain, form)).toEqual(expected);
    expect(await introspect(keyed, form)).toEqual(expected);
  });

  test('a token costs one write of its record, with and without an access key', async () => {
    const { value } = await makeKey('own');
    const expected = { statements: 0, finds: 0, saves: 10 };
    expect(await cost(() => endpoints.token(clients.shop))).toEqual(expected);
    expect(await cost(() => endpoints.token(clients.shop, { access_key: value }))).toEqual(expected);
  });
});
