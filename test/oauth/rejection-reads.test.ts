import type { KnownClient } from '../../src/clients/client.ts';
import type { ForeignClient } from '../../src/clients/foreign-client.ts';
import { importClients } from '../../src/clients/import-clients.ts';
import { generateClientId, generateSecret } from '../../src/credentials/credential-format.ts';
import { deploymentOrganization } from '../../src/storage/organization-limit.ts';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { askPostgres } from '../services.ts';
import { actor, endpointsOf, register, type TestClient, watchQueries } from './fixture.ts';

let here: AdminServer;
let there: AdminServer;
let atHere: ReturnType<typeof endpointsOf>;
let atThere: ReturnType<typeof endpointsOf>;

/** Starts processes that do not notify each other, so that only a read before a rejection shows a change in time. */
beforeAll(async () => {
  here = await startAdminServer();
  await askPostgres(here.stores.databaseUrl, 'ALTER TABLE changes DISABLE TRIGGER changes_announce');
  there = await startAdminServer({ stores: here.stores });
  [atHere, atThere] = [endpointsOf(here.publicUrl), endpointsOf(there.publicUrl)];
});
afterAll(async () => {
  await there?.close();
  await here?.close();
});

async function act(method: string, path: string, body: object = {}): Promise<Record<string, string>> {
  const answer = await here.adminFetch(path, { method, body });
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
  return answer.json;
}

const registerShop = () => register(here.core, { name: 'Shop', kind: 'integration' });
const wrong = (id: string): TestClient => ({ id, secret: generateSecret('kts_') });

async function regenerate({ id }: TestClient): Promise<TestClient> {
  const { confirmation } = await act('POST', `/clients/${id}/regeneration/review`);
  const { client_secret: secret = '' } = await act('POST', `/clients/${id}/regenerate`, { confirmation });
  return { id, secret };
}

test('rejections of many clients in one turn of the event loop share one read, and reload only what changed', async () => {
  const shops = await Promise.all(Array.from({ length: 40 }, registerShop));
  const unknown = Array.from({ length: 40 }, generateClientId);
  // Otherwise the registrations could be read later, and drop what is cached now.
  await there.core.feed.sync();
  for (const id of [...shops.map((shop) => shop.id), ...unknown]) await atThere.token(wrong(id));
  const changed = shops.slice(0, 10).map(({ id }) => id);
  for (const id of changed) await act('POST', `/clients/${id}/disable`);
  const ids = [...shops.map(({ id }) => id), ...unknown];

  const queries = watchQueries(there.core);
  const found = await Promise.all(ids.map((id) => there.core.clients.findRecent(id)));
  queries.stop();
  const enabledOf = (each: KnownClient | undefined) => each?.client.enabled;
  expect(found.map(enabledOf)).toEqual(ids.map((id) => (unknown.includes(id) ? undefined : !changed.includes(id))));
  // A regular read may fall into the same moment, and may have shown the changes already.
  expect(queries.changeReads()).toBeGreaterThan(0);
  expect(queries.changeReads()).toBeLessThanOrEqual(2);
  const lookups = queries.clientLookups();
  expect(new Set(lookups).size).toBe(lookups.length);
  expect(changed).toEqual(expect.arrayContaining(lookups));
});

test.each([
  ['an enabled client', async () => (await registerShop()).id],
  [
    'a disabled client',
    async () => {
      const { id } = await registerShop();
      await act('POST', `/clients/${id}/disable`);
      return id;
    },
  ],
  ['an unknown client', async () => generateClientId()],
])('looks up %s once for any number of wrong secrets, and reads only changes after that', async (_, make) => {
  const id = await make();
  await there.core.feed.sync();
  const queries = watchQueries(there.core);
  const answers = [];
  for (let count = 0; count < 5; count++) answers.push(await atThere.token(wrong(id)));
  queries.stop();
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401]));
  expect(queries.clientLookups()).toEqual([id]);
  expect(queries.changeReads()).toBeGreaterThanOrEqual(4);
});

test('accepts a new secret of a client whose earlier look-up was still running', async () => {
  const before = await registerShop();
  const { unlimitedDatabase: database } = there.core;
  const { query } = database;
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const { promise: looked, resolve: look } = Promise.withResolvers<void>();
  database.query = async (sql, parameters = []) => {
    const rows = await query(sql, parameters);
    if (!sql.includes('client_ids')) return rows as never;
    database.query = query;
    look();
    await released;
    return rows as never;
  };
  const first = atThere.token(before);
  await looked;
  const after = await regenerate(before);
  // The look-up of the first request is answered while the second one waits for it.
  const { clients } = there.core;
  const { find } = clients;
  clients.find = (id) => {
    setImmediate(release);
    clients.find = find;
    return find(id);
  };
  const second = atThere.token(after);
  expect((await first).status).toBe(200);
  expect((await second).status).toBe(200);
});

test('accepts the first imported client on another process right after the import was confirmed', async () => {
  const imported = { id: 'partner-1', secret: 'q7Zr2LkX9vTn4BsWcY6hJd3F' };
  expect((await atThere.token(imported)).status).toBe(401);
  const row: ForeignClient = {
    place: 'line 2',
    clientId: imported.id,
    clientSecret: imported.secret,
    secretExpiresAt: undefined,
    previousSecret: undefined,
    name: 'Partner',
    enabled: true,
    scope: [],
    accessKey: 'optional',
    reveal: false,
    resource: undefined,
    audience: undefined,
    authMethod: 'client_secret_basic',
    signingAlgorithm: undefined,
    jwks: undefined,
    jwksUri: undefined,
    certificateSubjects: [],
    certificateBoundTokens: undefined,
    dpopBoundTokens: false,
    unmet: [],
    notes: [],
  };
  const { core } = here;
  await core.change((transaction) =>
    importClients(
      transaction,
      core,
      actor,
      [{ row, kept: { secret: imported.secret }, previous: undefined }],
      deploymentOrganization,
    ),
  );
  expect((await atThere.token(imported)).status).toBe(200);
  expect((await atHere.token(imported)).status).toBe(200);
});
