import { type ConsoleServer, startConsole } from './console-server.ts';

let now = Date.now();
let server: ConsoleServer;
let cookie: string;
let partner: { id: string };
let sync: { client_id: string };
let shop: { client_id: string };

beforeAll(async () => {
  server = await startConsole({ clock: () => now });
  cookie = await server.signIn((await server.operator()).token);
  sync = await post('/clients', { name: 'Order sync', kind: 'integration' });
  shop = await post('/clients', { name: 'Shop', kind: 'integration' });
  partner = await post('/contacts', { name: 'Partner', email: 'partner@example.com' });
  await createKey('For any', null);
  await createKey('For sync', [sync.client_id]);
  await createKey('For both', [shop.client_id, sync.client_id]);
  await createKey('For shop', [shop.client_id]);
});
afterAll(() => server.close());

async function post(path: string, body: unknown) {
  // Lists are in the order of creation.
  now += 1_000;
  const { status, json, text } = await server.adminFetch(path, { method: 'POST', body });
  if (status > 299) throw new Error(`${path}: ${text}`);
  return json;
}

const createKey = (name: string, clients: string[] | null): Promise<{ id: string }> =>
  post(`/contacts/${partner.id}/access-keys`, { name, permissions: {}, clients });

const look = async (path: string) => (await server.look(path, cookie)).text;

/** Returns the section of a page with this id of its heading. */
function sectionOf(page: string, id: string): string {
  return page.split('<section').find((part) => part.includes(`aria-labelledby="${id}"`)) ?? '';
}

it('lists the keys that may be used with a client: those limited to it, and those of any client', async () => {
  const names = async (query: string) => {
    const { json } = await server.adminFetch(`/access-keys?${query}`);
    return (json.data as { name: string }[]).map(({ name }) => name);
  };
  expect(await names(`client_id=${sync.client_id}`)).toEqual(['For both', 'For sync', 'For any']);
  expect(await names(`client_id=${shop.client_id}&q=for%20sh`)).toEqual(['For shop']);
  expect(await names(`client_id=${sync.client_id}&q=sh`)).toEqual([]);
  const unknown = await server.adminFetch('/access-keys?client_id=kti_4fW1mZ8qYc0RkT7pLs2VnB');
  expect(unknown).toMatchObject({ status: 400, json: { issues: [{ path: 'client_id' }] } });
});

it('shows the first ten access keys of an integration on its page, with a link to all of them', async () => {
  const lone = await post('/clients', { name: 'Lone', kind: 'integration' });
  const page = sectionOf(await look(`/console/clients/${lone.client_id}`), 'access-keys');
  expect(page).toContain('For any');
  expect(page).not.toContain('For sync');
  expect(page).toContain('Show them in the complete list');
  for (let count = 1; count <= 10; count++) await createKey(`Lone ${count}`, [lone.client_id]);
  const many = sectionOf(await look(`/console/clients/${lone.client_id}`), 'access-keys');
  expect(many).toContain('Lone 10');
  expect(many).not.toContain('For any');
  const [, complete = ''] = /href="([^"]+)">Show all access keys/.exec(many) ?? [];
  const list = await look(complete);
  expect(list).toContain('For any');
  expect(list).not.toContain('For sync');
});

it('links an access key to its contact and its integrations, and those back to the key', async () => {
  const { id } = await createKey('Linked', [sync.client_id, shop.client_id]);
  const page = sectionOf(await look(`/console/access-keys/${id}`), 'about');
  expect(page).toContain(`href="/console/contacts/${partner.id}"`);
  for (const { client_id: clientId } of [sync, shop]) {
    expect(page).toContain(`href="/console/clients/${clientId}"`);
    const back = sectionOf(await look(`/console/clients/${clientId}`), 'access-keys');
    expect(back).toContain(`href="/console/access-keys/${id}"`);
    expect(back).toContain('this and 1 other');
  }
  expect(sectionOf(await look(`/console/contacts/${partner.id}`), 'keys')).toContain(
    `href="/console/access-keys/${id}"`,
  );
});
