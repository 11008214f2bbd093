import { endpointsOf } from '../oauth/fixture.ts';
import { type ConsoleServer, startConsole } from './console-server.ts';

const resource = 'https://api.example.com';

let server: ConsoleServer;
let cookie: string;

beforeAll(async () => {
  server = await startConsole();
  cookie = await server.signIn((await server.operator()).token);
  const body = { name: 'API', kind: 'resource_server', resource, information: ['orders'] };
  expect((await server.adminFetch('/clients', { method: 'POST', body })).status).toBe(201);
});
afterAll(() => server.close());

const fields = {
  name: 'Acme <Ltd>',
  external_id: 'acme',
  labels: 'tier=gold',
  integrations: '1',
  access_keys: '',
  key_days: '30',
  limits_scopes: 'on',
  scopes: `${resource} orders:read`,
  reveal: 'on',
};

/** Creates an organization with the form. Returns its path. */
async function create(form: Record<string, string>): Promise<string> {
  const answer = await server.send('/console/organizations/new', form, cookie);
  if (answer.status !== 303) throw new Error(answer.text);
  return answer.location ?? '';
}

it('creates an organization with a ceiling, and generates integrations within it only', async () => {
  const path = await create(fields);
  const { text } = await server.look(path, cookie);
  expect(text).toContain('Acme &lt;Ltd>');
  expect(text).toContain('0 of 1');
  expect(text).toContain('30 days');
  const id = path.split('/').at(-1) ?? '';
  const { text: form } = await server.look(`/console/integrations/new?organization_id=${id}`, cookie);
  expect(form).toContain(`name="organization_id" value="${id}"`);
  const given = { name: 'Sync', permission: 'orders:create', organization_id: id, reveal: 'on' };
  const refused = await server.send('/console/integrations/review', given, cookie);
  expect([refused.status, refused.text.includes('does not allow orders:create')]).toEqual([409, true]);
  const generate = () =>
    server.sendAndLook(
      '/console/integrations',
      { ...given, permission: 'orders:read', once: crypto.randomUUID() },
      cookie,
    );
  expect((await generate()).text).toContain('kts_');
  expect((await generate()).status).toBe(409);
  const list = await server.look(`/console/integrations?organization_id=${id}`, cookie);
  const [, clientId] = /\/console\/clients\/(kti_\w+)/.exec(list.text) ?? [];
  expect((await server.look(`/console/clients/${clientId}`, cookie)).text).toContain(`href="${path}"`);
  expect((await server.look('/console/organizations?q=acme', cookie)).text).toContain('1 of 1');
});

it('names the field of a ceiling that is wrong, and keeps what was entered', async () => {
  const form = { ...fields, external_id: '', scopes: `${resource} orders:fly`, key_days: 'soon' };
  const number = await server.send('/console/organizations/new', form, cookie);
  expect([number.status, number.text.includes('Must be a number.')]).toEqual([400, true]);
  const scope = await server.send('/console/organizations/new', { ...form, key_days: '1' }, cookie);
  expect([scope.status, scope.text.includes('does not offer orders:fly')]).toEqual([400, true]);
  expect(scope.text).toContain('tier=gold');
});

it('disables, enables and deletes an organization', async () => {
  const path = await create({ name: 'Leaving', reveal: 'on' });
  const id = path.split('/').at(-1);
  const body = { name: 'Sync', kind: 'integration', organization_id: id };
  const { json: client } = await server.adminFetch('/clients', { method: 'POST', body });
  const token = () => endpointsOf(server.publicUrl).token({ id: client.client_id, secret: client.client_secret });
  expect((await token()).status).toBe(200);
  expect((await server.look(`${path}/disable`, cookie)).text).toContain('Its 1 integration and 0 enabled access keys');
  expect((await server.sendAndLook(`${path}/disable`, {}, cookie)).text).toContain('Disabled. The active tokens');
  expect((await token()).status).toBe(401);
  expect((await server.sendAndLook(`${path}/enable`, {}, cookie)).text).toContain('Enabled.');
  expect((await token()).status).toBe(200);
  const live = await server.send(`${path}/delete`, { name: 'Leaving' }, cookie);
  expect([live.status, live.text.includes('enabled clients')]).toEqual([409, true]);
  await server.adminFetch(`/clients/${client.client_id}/disable`, { method: 'POST', body: {} });
  expect((await server.sendAndLook(`${path}/delete`, { name: 'Leaving' }, cookie)).text).toContain('Deleted.');
  expect((await server.look('/console/', cookie)).text).toContain('deleted the organization');
});
