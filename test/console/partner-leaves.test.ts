import { runCommand } from '../cli/run-command.ts';
import { endpointsOf } from '../oauth/fixture.ts';
import { type ConsoleServer, startConsole } from './console-server.ts';

let server: ConsoleServer;
let cookie: string;
let sync: { client_id: string; client_secret: string };

beforeAll(async () => {
  server = await startConsole();
  cookie = await server.signIn((await server.operator()).token);
  sync = await post('/clients', { name: 'Order sync', kind: 'integration' });
});
afterAll(() => server.close());

async function post(path: string, body: unknown = {}) {
  const { status, json, text } = await server.adminFetch(path, { method: 'POST', body });
  if (status > 299) throw new Error(`${path}: ${text}`);
  return json;
}

type Key = { id: string; name: string; access_key: string };

/** Creates a contact with a key in use, an unused one, and one that is disabled. */
async function createPartner(name: string): Promise<{ id: string; used: Key; unused: Key; disabled: Key }> {
  const { id } = await post('/contacts', { name, email: 'partner@example.com' });
  const create = (key: string): Promise<Key> => post(`/contacts/${id}/access-keys`, { name: key, permissions: {} });
  const used = await create('Warehouse');
  const unused = await create('Reports');
  const disabled = await create('Old');
  await post(`/access-keys/${disabled.id}/disable`);
  for (let count = 0; count < 2; count++) await ask(used);
  return { id, used, unused, disabled };
}

async function ask(key: Key) {
  const { token } = endpointsOf(server.publicUrl);
  return await token(
    { id: sync.client_id, secret: sync.client_secret },
    { access_key: key.access_key },
    { headers: { 'user-agent': 'order-sync/1' } },
  );
}

const statusOf = async ({ id }: Key) => (await server.adminFetch(`/access-keys/${id}`)).json.status;
const eventsOf = async ({ id }: Key) =>
  ((await server.adminFetch(`/audit-events?target=${id}&action=access_key.disable`)).json.data as unknown[]).length;

it('reviews which access keys of a contact got tokens in 24 hours, and by which integrations', async () => {
  const partner = await createPartner('Reviewed');
  const { json } = await server.adminFetch(`/contacts/${partner.id}/access-keys/disable`);
  expect(json).toMatchObject({
    total: 2,
    access_keys: [
      {
        name: 'Warehouse',
        tokens_24h: 2,
        source_count: 1,
        integrations: [{ client_id: sync.client_id, name: 'Order sync' }],
      },
      { name: 'Reports', last_used_at: null, tokens_24h: 0, source_count: 0, integrations: [] },
    ],
  });
  const { text } = await server.look(`/console/contacts/${partner.id}/disable-access-keys`, cookie);
  expect(text).toContain('2 access keys are disabled.');
  expect(text).toContain('In the last 24 hours, 2 tokens were issued with 1 of them.');
  expect(text).toContain(`<a href="/console/clients/${sync.client_id}">Order sync</a>`);
  expect(await statusOf(partner.used)).toBe('enabled');
});

it('disables all access keys of a contact from its page, with one audit event for each, and once', async () => {
  const partner = await createPartner('Leaving');
  const other = await createPartner('Staying');
  const page = await server.look(`/console/contacts/${partner.id}`, cookie);
  expect(page.text).toContain(`href="/console/contacts/${partner.id}/disable-access-keys"`);
  expect((await ask(partner.used)).status).toBe(200);
  const done = await server.sendAndLook(`/console/contacts/${partner.id}/disable-access-keys`, {}, cookie);
  expect(done.text).toContain('Disabled all access keys.');
  expect(await Promise.all([partner.used, partner.unused, partner.disabled].map(statusOf))).toEqual([
    'disabled',
    'disabled',
    'disabled',
  ]);
  expect((await ask(partner.used)).status).toBe(400);
  expect((await ask(other.used)).status).toBe(200);
  const again = await post(`/contacts/${partner.id}/access-keys/disable`);
  expect(again).toEqual({ contact_id: partner.id, disabled: [] });
  expect(await Promise.all([partner.used, partner.unused, partner.disabled].map(eventsOf))).toEqual([1, 1, 1]);
});

it('disables all access keys of a contact only for operators who may edit integrations', async () => {
  const partner = await createPartner('Kept');
  const token = await server.operatorToken(['integrations:view']);
  const path = `/contacts/${partner.id}/access-keys/disable`;
  expect(await server.adminFetch(path, { method: 'POST', token })).toMatchObject({ status: 403 });
  expect(
    await server.adminFetch('/contacts/00000000-0000-4000-8000-000000000000/access-keys/disable', { method: 'POST' }),
  ).toMatchObject({ status: 404 });
  expect(await statusOf(partner.used)).toBe('enabled');
});

it('keyturn access-keys disable --contact shows the review before it asks, and disables every key with --yes', async () => {
  const partner = await createPartner('By command');
  await server.core.usage.flush();
  const environment = {
    DATABASE_URL: server.stores.databaseUrl,
    REDIS_URL: server.stores.redisUrl,
    KEYTURN_ROOT_KEY: server.stores.rootKey,
  };
  const run = (...args: string[]) => runCommand(['access-keys', 'disable', ...args], environment);
  const asked = await run('--contact', partner.id);
  expect(asked.code).toBe(2);
  expect(asked.stderr).toContain('"Warehouse": 2 tokens in 24 hours, by Order sync');
  expect(asked.stderr).toContain('2 enabled access keys, of which 1 got tokens in the last 24 hours.');
  expect(await statusOf(partner.used)).toBe('enabled');
  const done = await run('--contact', partner.id, '--yes');
  expect(done.stdout.trim().split('\n').sort()).toEqual([
    `Reports (${partner.unused.id}) is disabled.`,
    `Warehouse (${partner.used.id}) is disabled.`,
  ]);
  expect(await statusOf(partner.used)).toBe('disabled');
  expect((await run('--contact', partner.id, '--yes')).stdout).toBe('No access key of this contact was enabled.\n');
  for (const args of [[], [partner.used.id, '--contact', partner.id]]) expect((await run(...args)).code).toBe(2);
});

it('offers nothing to disable on the page of a contact whose access keys are all disabled', async () => {
  const { id } = await post('/contacts', { name: 'Left', email: 'left@example.com' });
  const { text } = await server.look(`/console/contacts/${id}/disable-access-keys`, cookie);
  expect(text).toContain('All access keys of this contact are already disabled.');
  expect(text).not.toContain('Disable all access keys</button>');
});
