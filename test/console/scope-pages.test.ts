import { endpointsOf } from '../oauth/fixture.ts';
import { type ConsoleServer, startConsole } from './console-server.ts';

let server: ConsoleServer;
let cookie: string;

beforeAll(async () => {
  server = await startConsole();
  cookie = await server.signIn(await server.operatorToken());
});
afterAll(() => server?.close());

type Row = {
  name: string;
  description?: string;
  means?: string;
  aliases?: string;
  deprecated?: string;
  sensitive?: string;
  was?: string;
};

/** Returns the fields of a resource server's form with these rows of named scopes. */
function formOf(name: string, rows: readonly Row[]): Record<string, string> {
  const fields = rows.flatMap((row, index) =>
    Object.entries({ description: 'Some', ...row }).map(([member, value]) => [`scopes.${index}.${member}`, value]),
  );
  const resource = `https://${name}.example`;
  return { name, resource, information: name, token_format: 'opaque', ...Object.fromEntries(fields) };
}

async function createApi(name: string, scopes: readonly object[]): Promise<string> {
  const body = { name, kind: 'resource_server', resource: `https://${name}.example`, information: [name], scopes };
  return (await server.adminFetch('/clients', { method: 'POST', body })).json.client_id;
}

const scopesOf = async (id: string) => (await server.adminFetch(`/clients/${id}`)).json.scopes;

/** Saves the form of a resource server. @returns the response, which is no redirect if it was not saved. */
async function save(id: string, form: Record<string, string>) {
  const { text } = await server.look(`/console/clients/${id}/edit`, cookie);
  const [, revision = ''] = /name="revision" value="([^"]*)"/.exec(text) ?? [];
  return await server.send(`/console/clients/${id}/edit`, { revision, ...form }, cookie);
}

it('registers a resource server with named scopes, and shows wrong ones in their rows', async () => {
  const rows = [{ name: 'ships.read', means: 'ships:read' }, { name: '' }, { name: 'a"b', aliases: 'x y' }];
  const wrong = await server.send('/console/resource-servers/review', formOf('ships', rows), cookie);
  expect(wrong.status).toBe(400);
  // Rows without a name do not count for the admin API, but the error is in the third row.
  expect(wrong.text).toMatch(/<td colspan="6" id="error-scopes-2"><p class="error">Must have 1 to 128 printable/);
  expect(wrong.text).toContain('value="a&quot;b"');

  const right = formOf('ships', [rows[0] as Row, { name: 'ships:sink', sensitive: 'on', aliases: 'sink drown' }]);
  const review = await server.send('/console/resource-servers/review', right, cookie);
  expect([review.status, review.text.includes('ships:sink')]).toEqual([200, true]);
  const { data } = (await server.adminFetch('/clients?q=ships')).json;
  expect(data).toEqual([]);
  const [, once = ''] = /name="once" value="([^"]*)"/.exec(review.text) ?? [];
  const made = await server.send('/console/resource-servers', { ...right, once }, cookie);
  expect(made.status).toBe(303);
  const [api] = (await server.adminFetch('/clients?q=ships')).json.data;
  expect(api.scopes).toMatchObject([
    { name: 'ships.read', information: 'ships', action: 'read', sensitive: false },
    { name: 'ships:sink', aliases: ['sink', 'drown'], information: null, sensitive: true },
  ]);
});

it('keeps the previous name of a renamed scope as another name, and removes a scope without a name', async () => {
  const id = await createApi('boats', [
    { name: 'boats.read', description: 'Read' },
    { name: 'boats.old', description: 'Old' },
  ]);
  const rows = [
    { name: 'boats.view', was: 'boats.read' },
    { name: '', was: 'boats.old' },
  ];
  expect((await save(id, formOf('boats', rows))).status).toBe(303);
  expect(await scopesOf(id)).toMatchObject([{ name: 'boats.view', aliases: ['boats.read'] }]);
});

it('lists the integrations that used a name before it is removed', async () => {
  const scopes = [{ name: 'cars.read', aliases: ['read:cars'], description: 'R', information: 'cars', action: 'read' }];
  const id = await createApi('cars', scopes);
  const body = { name: 'Garage <1>', kind: 'integration', scope: 'cars:read' };
  const { client_id, client_secret } = (await server.adminFetch('/clients', { method: 'POST', body })).json;
  const client = { id: client_id, secret: client_secret };
  await endpointsOf(server.publicUrl).accessToken(client, { scope: 'read:cars' });
  const form = formOf('cars', [{ name: 'cars.read', was: 'cars.read', means: 'cars:read' }]);
  const asked = await save(id, form);
  expect(asked.text).toContain('Change scopes of cars?');
  expect(asked.text).toContain('<code>read:cars</code>');
  expect(asked.text).toContain('Garage &lt;1');
  expect(await scopesOf(id)).toMatchObject(scopes);
  const [, confirmation = ''] = /name="confirmation" value="([^"]*)"/.exec(asked.text) ?? [];
  expect((await save(id, { ...form, confirmation, confirmed: 'on' })).status).toBe(303);
  expect(await scopesOf(id)).toMatchObject([{ name: 'cars.read', aliases: [] }]);
});

it('offers named scopes with their descriptions and a mark for sensitive ones, and keeps what is granted', async () => {
  await createApi('bikes', [
    { name: 'bikes.ride', description: 'Ride <fast>' },
    { name: 'bikes.sell', description: 'Sell', sensitive: true },
  ]);
  const body = { name: 'Rider', kind: 'integration', scope: 'bikes:read bikes.ride' };
  const { client_id: id } = (await server.adminFetch('/clients', { method: 'POST', body })).json;
  const { text } = await server.look(`/console/clients/${id}/edit`, cookie);
  const boxOf = (scope: string) => new RegExp(`<input[^>]*value="${scope}"[^>]*>`).exec(text)?.[0] ?? '';
  expect(boxOf('bikes.ride')).toContain('checked');
  expect(boxOf('bikes.sell')).not.toContain('checked');
  expect(text).toContain('Ride &lt;fast');
  expect(text).toMatch(/<code>bikes\.sell<\/code> <span class="badge warn">sensitive<\/span>/);
  // A name is no kind of information.
  expect(text).not.toContain('aria-label="bikes.ride: read"');
  const saved = await save(id, { name: 'Rider', permission: 'bikes.ride', access_key: 'optional' });
  expect(saved.status).toBe(303);
  expect((await server.adminFetch(`/clients/${id}`)).json.scope).toBe('bikes.ride');
});

it('renames a scope for those who have it when its previous name is removed from the other names', async () => {
  const id = await createApi('vans', [{ name: 'vans.view', aliases: ['vans.read'], description: 'Read' }]);
  const body = { name: 'Courier', kind: 'integration', scope: 'vans.read' };
  const { client_id } = (await server.adminFetch('/clients', { method: 'POST', body })).json;
  const form = formOf('vans', [{ name: 'vans.view', was: 'vans.view' }]);
  const asked = await save(id, form);
  expect(asked.text).toContain('The scope is renamed to <code>vans.view</code>.');
  expect(asked.text).toContain('1 integration and 0 access keys with the previous name');
  const [, confirmation = ''] = /name="confirmation" value="([^"]*)"/.exec(asked.text) ?? [];
  expect((await save(id, { ...form, confirmation, confirmed: 'on' })).status).toBe(303);
  expect((await server.adminFetch(`/clients/${client_id}`)).json.scope).toBe('vans.view');
});

it('offers a deprecated name only to those who have it, and shows who still uses it', async () => {
  const id = await createApi('trams', [
    { name: 'trams.ride', description: 'Ride', deprecated: ['trams.ride'] },
    { name: 'trams.stop', description: 'Stop' },
  ]);
  const create = async (name: string, scope: string) => {
    const body = { name, kind: 'integration', scope };
    return (await server.adminFetch('/clients', { method: 'POST', body })).json;
  };
  const [holder, other] = [await create('Holder', 'trams.ride'), await create('Other', 'trams.stop')];
  const shown = (await server.look(`/console/clients/${holder.client_id}/edit`, cookie)).text;
  expect(shown).toMatch(/<code>trams\.ride<\/code> +<span class="badge plain">deprecated<\/span>/);
  expect(shown).toContain('value="trams.stop"');
  expect((await server.look(`/console/clients/${other.client_id}/edit`, cookie)).text).not.toContain('trams.ride');
  await endpointsOf(server.publicUrl).accessToken({ id: holder.client_id, secret: holder.client_secret });
  const { text } = await server.look(`/console/clients/${id}`, cookie);
  expect(text).toMatch(/trams\.ride<\/code> used in the last 30 days by <a href="[^"]*">Holder</);
});
