import { randomUUID } from 'node:crypto';
import { portalPages } from '../../src/admin/console/pages.ts';
import { adminEndpoints } from '../../src/admin/endpoints.ts';
import { type Permission, permissions } from '../../src/contacts/contact.ts';
import { generateClientId } from '../../src/credentials/credential-format.ts';
import { type PortalServer, startPortal } from './portal-server.ts';

/** Part of every name that a person of another organization must not see. */
const hidden = 'Zzhidden';
const operatorAddress = '203.0.113.99';

/** The ids of one thing of each kind, all of the same organization. */
type World = { client: string; contact: string; key: string; regeneration: string; keyRegeneration: string };

let server: PortalServer;
let organization: string;
let own: World;
let others: World[];
let operatorId: string;
let operatorToken: string;
const cookies = new Map<Permission | 'nothing', string>();

/** Makes a request as an operator of the deployment, whom nobody of an organization must know. */
async function act(path: string, body: object = {}) {
  const headers = { 'x-forwarded-for': operatorAddress };
  const answer = await server.adminFetch(path, { method: 'POST', body, headers, token: operatorToken });
  if (answer.status > 299) throw new Error(`POST ${path}: ${answer.status} ${answer.text}`);
  return answer.json;
}

async function rotate(path: string): Promise<string> {
  const { confirmation } = await act(`${path}/regeneration/review`);
  return (await act(`${path}/regenerate`, { confirmation })).regeneration_id;
}

async function fill(name: string, organizationId?: string): Promise<World> {
  const of = organizationId ? { organization_id: organizationId } : {};
  const scope = { scope: 'orders:read' };
  const { client_id: client } = await act('/clients', { name, kind: 'integration', ...scope, ...of });
  const { id: contact } = await act('/contacts', { name, email: `${randomUUID()}@example.com`, ...of });
  const { id: key } = await act(`/contacts/${contact}/access-keys`, { name, permissions: { orders: ['read'] } });
  await act(`/clients/${client}/authorization-token`);
  const regeneration = await rotate(`/clients/${client}`);
  const keyRegeneration = await rotate(`/access-keys/${key}`);
  const { id: idle } = await act(`/contacts/${contact}/access-keys`, { name: `${name} idle`, permissions: {} });
  const { confirmation } = await act(`/access-keys/${idle}/regeneration/review`);
  await act(`/access-keys/${idle}/handover`, { confirmation, contact_id: contact });
  await act('/invitations', { name, email: `${randomUUID()}@example.com`, permissions: [], ...of });
  return { client, contact, key, regeneration, keyRegeneration };
}

beforeAll(async () => {
  server = await startPortal();
  const api = { kind: 'resource_server', resource: 'https://api.example', information: ['orders', 'secrets'] };
  await server.post('/clients', { name: 'Shop API', description: hidden, ...api });
  const kept = { kind: 'resource_server', resource: 'https://kept.example', information: ['plans'] };
  await server.post('/clients', { name: `${hidden} API`, ...kept });
  const scopes = [{ resource: 'https://api.example', scope: 'orders:read orders:create' }];
  organization = (await server.post('/organizations', { name: 'Own', ceiling: { scopes } })).id;
  const { id: second } = await server.post('/organizations', { name: hidden, external_id: hidden });
  ({ id: operatorId } = await server.post('/contacts', {
    name: `${hidden} operator`,
    email: 'operator@example.com',
    permissions: [...permissions],
  }));
  operatorToken = (await server.post(`/contacts/${operatorId}/operator-token`)).operator_token;
  own = await fill('Own thing', organization);
  others = [await fill(hidden, second), await fill(hidden)];
  for (const held of [...permissions, 'nothing'] as const) {
    const person = {
      organization_id: organization,
      email: `${held.replace(':', '-')}@own.example`,
      name: `May ${held}`,
    };
    cookies.set(held, await server.enter(person, held === 'nothing' ? [] : [held]));
  }
});
afterAll(() => server.close());

const cookieOf = (held: Permission | 'nothing') => cookies.get(held) ?? '';

/** Replaces the parameters of a path by the ids of a world, or by ids that do not exist. */
function fillIn(path: string, world: World | undefined): string {
  const isOfKey = path.startsWith('/access-keys');
  const rotation = isOfKey ? world?.keyRegeneration : world?.regeneration;
  return path
    .replace(':client_id', world?.client ?? generateClientId())
    .replace(':regeneration_id', rotation ?? randomUUID())
    .replace(':session_id', randomUUID())
    .replace(':once', randomUUID())
    .replace(':id', (isOfKey ? world?.key : world?.contact) ?? randomUUID());
}

function ask({ method, path }: { method: 'get' | 'post'; path: string }, world: World | undefined, cookie: string) {
  const address = `/portal${fillIn(path, world)}`;
  return method === 'get' ? server.open(address, cookie) : server.submit(address, { name: 'X' }, cookie);
}

/** Removes the address of the page itself, to which the choice of a language returns. */
function withoutAddress(text: string): string {
  return text.replace(/name="next" value="[^"]*"/, '');
}

const withId = portalPages.filter(({ path }) => /:(client_id|id)/.test(path));

// Before the next test, because the audit log has the addresses of rejected requests.
it.each([...permissions, 'nothing'] as const)(
  'shows a person with %s own things without operators and things of others on every page',
  async (held) => {
    let shown = 0;
    for (const page of portalPages) {
      if (page.method !== 'get') continue;
      const { status, text } = await ask(page, own, cookieOf(held));
      expect([page.path, status < 500]).toEqual([page.path, true]);
      for (const value of [hidden, operatorId, operatorAddress, 'kept.example', 'plans', 'secrets:read']) {
        expect([page.path, value, text.includes(value)]).toEqual([page.path, value, false]);
      }
      for (const id of others.flatMap((world) => Object.values(world))) {
        expect([page.path, text.includes(id)]).toEqual([page.path, false]);
      }
      if (status === 200) shown++;
    }
    expect(shown).toBeGreaterThan(held === 'nothing' ? 2 : 3);
  },
);

it.each([...permissions, 'nothing'] as const)(
  'answers a person with %s for things of others like for things that do not exist, and never shows them',
  async (held) => {
    for (const page of withId) {
      const missing = await ask(page, undefined, cookieOf(held));
      expect([page.path, missing.status < 500]).toEqual([page.path, true]);
      for (const world of others) {
        const answer = await ask(page, world, cookieOf(held));
        expect([page.method, page.path, answer.status]).toEqual([page.method, page.path, missing.status]);
        expect(withoutAddress(answer.text)).toBe(withoutAddress(missing.text));
        expect([page.path, answer.text.includes(hidden)]).toEqual([page.path, false]);
      }
    }
    for (const world of others) {
      const { json } = await server.adminFetch(`/clients/${world.client}`);
      expect(json).toMatchObject({ name: hidden, status: 'enabled' });
    }
  },
);

it('shows people of an organization that the provider did what its operators did', async () => {
  const log = await server.open('/portal/audit?limit=200', cookieOf('audit:view'));
  expect(log.text).toContain('This deployment</span> generated');
  const token = (await server.post(`/contacts/${own.contact}/operator-token`)).operator_token;
  const patch = { method: 'PATCH', body: { permissions: [...permissions] } };
  await server.adminFetch(`/contacts/${own.contact}`, patch);
  for (const { method, path, reach } of adminEndpoints(server.core)) {
    if (method !== 'get' || reach !== 'organization') continue;
    const filled = fillIn(path.replace(/\{(\w+)\}/g, ':$1'), own);
    const { text } = await server.adminFetch(path === '/search' ? '/search?q=own' : filled, { token });
    for (const value of [hidden, operatorId, operatorAddress]) {
      expect([path, value, text.includes(value)]).toEqual([path, value, false]);
    }
  }
  const filtered = await server.adminFetch(`/audit-events?actor=${operatorId}`, { token });
  const unknown = await server.adminFetch(`/audit-events?actor=${randomUUID()}`, { token });
  expect(filtered.text).toBe(unknown.text);
});

it('ranks what belongs to the organization for people who see integrations, and for nobody else', async () => {
  const { status, text } = await server.open('/portal/posture', cookieOf('integrations:view'));
  expect(status).toBe(200);
  expect(text).toContain(`href="/portal/clients/${own.client}">Own thing</a>`);
  expect(text).toContain('href="/portal/posture" aria-current="page"');
  expect(text).not.toMatch(/href="[^"]*\/policies"/);
  const german = { 'accept-language': 'de' };
  const translated = await server.open('/portal/posture', cookieOf('integrations:view'), german);
  expect(translated.text).toContain('Ihre Integrationen und Zugriffsschlüssel, geordnet nach dem Risiko');
  for (const held of ['contacts:manage', 'audit:view', 'nothing'] as const) {
    const refused = await server.open('/portal/posture', cookieOf(held));
    expect([held, refused.status]).toEqual([held, 403]);
  }
});

it('keeps the names of people of the organization in its history, also after they were deleted or renamed', async () => {
  const person = { organization_id: organization, email: 'leaver@own.example', name: 'Lea Leaver' };
  const cookie = await server.enter(person, ['integrations:view', 'integrations:edit', 'api_key:manage']);
  const once = randomUUID();
  await server.submit('/portal/integrations', { name: 'Of a leaver', once, scope: '' }, cookie);
  const { json } = await server.adminFetch(`/contacts?organization_id=${organization}&q=lea`);
  expect((await server.adminFetch(`/contacts/${json.data[0].id}`, { method: 'DELETE' })).status).toBe(204);
  const { text } = await server.open('/portal/audit?limit=200', cookieOf('audit:view'));
  expect(text).toMatch(/Lea Leaver<\/a> registered/);
});

it('offers the scopes within the ceiling of the organization, and nothing else of the APIs', async () => {
  const person = { organization_id: organization, email: 'all@own.example', name: 'All' };
  const cookie = await server.enter(person, permissions);
  const { text } = await server.open('/portal/integrations/new', cookie);
  const offered = [...text.matchAll(/name="permission" value="([^"]+)"/g)].map(([, scope]) => scope);
  expect(offered.sort()).toEqual(['orders:create', 'orders:read']);
  expect(text).toContain('Shop API');
  for (const value of [hidden, 'kept.example', 'plans']) expect(text).not.toContain(value);
});

it('lets people grant two permissions, which include to see, and shows others that a contact has', async () => {
  const person = { organization_id: organization, email: 'chief@own.example', name: 'Chief' };
  const cookie = await server.enter(person, permissions);
  const offered = (text: string) => [...text.matchAll(/name="permissions" value="([^"]+)"/g)].map(([, each]) => each);
  const form = await server.open('/portal/contacts/new', cookie);
  expect(offered(form.text)).toEqual(['integrations:edit', 'api_key:manage']);
  const send = async (path: string, more: string, revision = '') => {
    const body = new URLSearchParams({ name: 'Nora', email: 'nora@own.example', revision });
    for (const permission of more.split(' ')) body.append('permissions', permission);
    const headers = { origin: server.portalUrl, cookie };
    const init = { method: 'POST', body, headers, redirect: 'manual' as const };
    return (await fetch(new URL(path, server.portalUrl), init)).headers.get('location') ?? '';
  };
  const at = await send('/portal/contacts/new', 'api_key:manage audit:view contacts:manage');
  const id = at.replace(/.*\//, '');
  const held = async () => (await server.adminFetch(`/contacts/${id}`)).json;
  expect((await held()).permissions).toEqual(['integrations:view', 'api_key:manage']);
  const granted = ['integrations:view', 'audit:view'];
  await server.adminFetch(`/contacts/${id}`, { method: 'PATCH', body: { permissions: granted } });
  const edit = await server.open(`/portal/contacts/${id}/edit`, cookie);
  expect(offered(edit.text)).toEqual(['integrations:view', 'integrations:edit', 'api_key:manage', 'audit:view']);
  const revision = /name="revision" value="([^"]*)"/.exec(edit.text)?.[1]?.replaceAll('&quot;', '"') ?? '';
  await send(`/portal/contacts/${id}/edit`, 'audit:view contacts:manage', revision);
  expect((await held()).permissions).toEqual(['audit:view']);
});

it('lists what ends soon in the organization, without signing keys and things of others', async () => {
  const { text, status } = await server.open('/portal/expirations', cookieOf('integrations:view'));
  expect([status, text.includes('Own thing'), text.includes('signing key')]).toEqual([200, true, false]);
  const calendar = await server.open('/portal/expirations.ics', cookieOf('integrations:view'));
  expect(calendar.text).toContain('SUMMARY:Grace period ends: Own thing');
  for (const each of [text, calendar.text]) expect(each).not.toContain(hidden);
});

describe('a person without permissions', () => {
  let contact: string;
  let key: string;
  let cookie: string;

  beforeAll(async () => {
    const person = { name: 'Nina None', email: 'nina@own.example', organization_id: organization };
    contact = (await server.post('/contacts', person)).id;
    const body = { name: 'Key of Nina', permissions: { orders: ['read'] }, clients: [own.client] };
    key = (await server.post(`/contacts/${contact}/access-keys`, body)).id;
    cookie = await server.enter({ contact_id: contact });
  });

  it('sees their own access keys, and no others', async () => {
    const home = await server.open('/portal/', cookie);
    expect([home.status, home.location]).toEqual([303, '/portal/access-keys']);
    const list = await server.open('/portal/access-keys', cookie);
    expect([list.status, list.text.includes('Key of Nina'), list.text.includes('Own thing')]).toEqual([
      200,
      true,
      false,
    ]);
    expect((await server.open(`/portal/access-keys/${key}`, cookie)).status).toBe(200);
    const colleague = await server.open(`/portal/access-keys/${own.key}`, cookie);
    const missing = await server.open(`/portal/access-keys/${randomUUID()}`, cookie);
    expect([colleague.status, withoutAddress(colleague.text)]).toEqual([404, withoutAddress(missing.text)]);
  });

  it('sees the same through the admin API, and nothing through any other endpoint', async () => {
    const { operator_token: token } = await server.post(`/contacts/${contact}/operator-token`);
    const { json } = await server.adminFetch('/access-keys', { token });
    expect(json.data.map(({ id }: { id: string }) => id)).toEqual([key]);
    for (const { method, path, permission, own: isOwn } of adminEndpoints(server.core)) {
      if (permission === null || isOwn) continue;
      const answer = await server.adminFetch(fillIn(path.replace(/\{(\w+)\}/g, ':$1'), own), {
        method: method.toUpperCase(),
        token,
        ...(method === 'get' ? {} : { body: {} }),
      });
      expect([method, path, answer.status]).toEqual([method, path, 403]);
    }
  });

  it('opens no other page but their sessions', async () => {
    cookie = await server.enter({ contact_id: contact });
    for (const page of portalPages) {
      if (page.own || page.path.startsWith('/sessions') || page.path === '/') continue;
      const { status, text } = await ask(page, own, cookie);
      expect([page.method, page.path, text.includes('Own thing')]).toEqual([page.method, page.path, false]);
      if (page.permission) expect([page.method, page.path, status]).toEqual([page.method, page.path, 403]);
    }
  });
});

describe('two people of different organizations', () => {
  let ann: string;
  let bob: string;

  beforeAll(async () => {
    // Every list has a second page.
    await fill('Own thing', organization);
    const { id } = await server.post('/organizations', { name: 'Other' });
    ann = await server.enter({ organization_id: organization, email: 'ann@own.example', name: 'Ann' }, permissions);
    bob = await server.enter({ organization_id: id, email: 'bob@other.example', name: 'Bob' }, permissions);
  });

  it('do not see each other’s new credentials, although they know the idempotency key', async () => {
    const once = randomUUID();
    const made = await server.submit('/portal/integrations', { name: 'Of Ann', once, scope: '' }, ann);
    const theirs = await server.open(made.location ?? '', ann);
    expect([theirs.status, theirs.text.includes('kts_')]).toEqual([200, true]);
    const seen = await server.open(made.location ?? '', bob);
    const missing = await server.open(`/portal/integrations/made/${randomUUID()}`, bob);
    expect([seen.status, withoutAddress(seen.text)]).toEqual([404, withoutAddress(missing.text)]);
    const again = await server.submit('/portal/integrations', { name: 'Of Bob', once, scope: '' }, bob);
    const ofBob = await server.open(again.location ?? '', bob);
    expect([again.status, ofBob.text.includes('Of Bob'), ofBob.text.includes('Of Ann')]).toEqual([303, true, false]);
  });

  it('get nothing of each other with a cursor', async () => {
    const lists = {
      integrations: '/clients',
      'access-keys': '/access-keys',
      contacts: '/contacts',
      audit: '/audit-events',
    };
    for (const [section, list] of Object.entries(lists)) {
      const of = list === '/audit-events' ? '' : `&organization_id=${organization}`;
      const { json } = await server.adminFetch(`${list}?limit=1${of}`);
      const { status, text: seen } = await server.open(`/portal/${section}?cursor=${json.next_cursor}`, bob);
      const shown = ['Own thing', 'Ann', organization, ...Object.values(own)].filter((each) => seen.includes(each));
      expect([section, typeof json.next_cursor, status, shown]).toEqual([section, 'string', 200, []]);
    }
  });

  it('find nothing of each other by id in the search and in the audit log', async () => {
    for (const id of Object.values(own)) {
      const unknown = randomUUID();
      for (const path of ['/portal/search?q=', '/portal/audit?target=', '/portal/audit?actor=']) {
        const seen = await server.open(path + id, bob);
        const missing = await server.open(path + unknown, bob);
        expect([path, seen.status]).toEqual([path, missing.status]);
        expect(seen.text.replaceAll(id, '')).toBe(missing.text.replaceAll(unknown, ''));
      }
    }
  });
});
