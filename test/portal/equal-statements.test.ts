import { randomUUID } from 'node:crypto';
import { portalPages } from '../../src/admin/console/pages.ts';
import { adminEndpoints } from '../../src/admin/endpoints.ts';
import { permissions } from '../../src/contacts/contact.ts';
import { generateClientId } from '../../src/credentials/credential-format.ts';
import { eventually } from '../eventually.ts';
import { createStatementRecorder } from '../record-statements.ts';
import { type PortalServer, startPortal } from './portal-server.ts';

/**
 * Two organizations. For a person of one, a thing of the other must differ in nothing from one that does not exist. The
 * time of an answer could differ only by work that differs, so the statements of both are compared.
 */
const recorder = createStatementRecorder();
let server: PortalServer;
let organization: string;
let other: { client: string; contact: string; key: string; operator: string; token: string; regeneration: string };
let token: string;
let cookie: string;

const everything = { permissions: [...permissions] };

async function operatorOf(of: string, name: string): Promise<{ id: string; token: string }> {
  const contact = { name, email: `${name}@example.com`, organization_id: of, ...everything };
  const { id } = await server.post('/contacts', contact);
  return { id, token: (await server.post(`/contacts/${id}/operator-token`)).operator_token };
}

beforeAll(async () => {
  server = await startPortal({ tracing: recorder.tracing });
  organization = (await server.post('/organizations', { name: 'Own' })).id;
  const { id: second } = await server.post('/organizations', { name: 'Other' });
  ({ token } = await operatorOf(organization, 'ann'));
  const operator = await operatorOf(second, 'bob');
  const of = { organization_id: second };
  const { client_id: client } = await server.post('/clients', { name: 'Theirs', kind: 'integration', ...of });
  const { id: contact } = await server.post('/contacts', { name: 'Theirs', email: 'theirs@example.com', ...of });
  const { id: key } = await server.post(`/contacts/${contact}/access-keys`, { name: 'Theirs', permissions: {} });
  const { confirmation } = await server.post(`/clients/${client}/regeneration/review`);
  const { regeneration_id: regeneration } = await server.post(`/clients/${client}/regenerate`, { confirmation });
  other = { client, contact, key, operator: operator.id, token: operator.token, regeneration };
  const person = { organization_id: organization, email: 'eve@example.com', name: 'Eve' };
  cookie = await server.enter(person, permissions);
});
afterAll(() => server.close());

type Answered = { status: number; text: string; statements(): string[] };

/** Runs a request, and returns its answer with its statements, without what depends on the minute. */
async function record(
  request: (headers: Record<string, string>) => Promise<{ status: number; text: string }>,
): Promise<Answered> {
  const { headers, statements } = recorder.next();
  const { status, text } = await request(headers);
  // Pages run several at the same time, in any order.
  const kept = () =>
    statements()
      .filter((sql) => !/last_(seen|used)_at = /.test(sql))
      .toSorted();
  return { status, text, statements: kept };
}

/** The address of a page is part of it. */
const withoutIds = (text: string, ids: readonly string[]) =>
  ids
    .reduce((left, id) => left.replaceAll(id, 'ID').replaceAll(encodeURIComponent(id), 'ID'), text)
    .replace(/"request_id":"[^"]*"|name="once" value="[^"]*"/g, '');

const idsIn = (path: string) => {
  const isOfKey = /^\/access-keys/.test(path);
  const theirs: Record<string, string> = {
    client_id: other.client,
    id: isOfKey ? other.key : other.contact,
    regeneration_id: other.regeneration,
  };
  const unknown: Record<string, string> = { client_id: generateClientId() };
  const names = [...path.matchAll(/[:{](\w+)/g)].map(([, name = '']) => name);
  const from = (known: Record<string, string>) => names.map((name) => known[name] ?? randomUUID());
  return { names, theirs: from(theirs), missing: from(unknown) };
};

const fillIn = (path: string, ids: readonly string[]) => {
  let at = 0;
  return path.replace(/:\w+|\{\w+\}/g, () => ids[at++] ?? '');
};

/** Statements that a page has begun when it is refused go on for a moment. */
async function expectSameStatements(name: string, one: Answered, two: Answered): Promise<void> {
  const same = () => JSON.stringify(one.statements()) === JSON.stringify(two.statements());
  await eventually(same).catch(() => undefined);
  expect([name, one.status, one.statements()]).toEqual([name, two.status, two.statements()]);
}

async function expectSame(
  name: string,
  one: Answered,
  ids: readonly string[],
  two: Answered,
  others: readonly string[],
): Promise<void> {
  await expectSameStatements(name, one, two);
  expect([name, withoutIds(one.text, ids)]).toEqual([name, withoutIds(two.text, others)]);
}

it('is answered on every page of the portal by the same statements as a thing that does not exist', async () => {
  let pages = 0;
  for (const { method, path } of portalPages) {
    if (!/:(client_id|id)/.test(path)) continue;
    const { theirs, missing } = idsIn(path);
    const [one, two] = await askBoth(theirs, missing, (ids) => (headers) => {
      const address = `/portal${fillIn(path, ids)}`;
      const from = { origin: server.portalUrl, ...headers };
      return method === 'get'
        ? server.open(address, cookie, headers)
        : server.submit(address, { name: 'X', confirm: 'X' }, cookie, from);
    });
    await expectSame(`${method} ${path}`, one, theirs, two, missing);
    pages++;
  }
  expect(pages).toBeGreaterThan(30);
});

it('is answered by every endpoint with the same statements as a thing that does not exist', async () => {
  let endpoints = 0;
  for (const { method, path, reach } of adminEndpoints(server.core)) {
    if (reach !== 'organization' || !/\{(client_id|id)\}/.test(path)) continue;
    const { theirs, missing } = idsIn(path);
    const [one, two] = await askBoth(theirs, missing, (ids) => (headers) => {
      const body = method === 'get' ? {} : { body: {} };
      return server.adminFetch(fillIn(path, ids), { method: method.toUpperCase(), token, headers, ...body });
    });
    await expectSame(`${method} ${path}`, one, theirs, two, missing);
    endpoints++;
  }
  expect(endpoints).toBeGreaterThan(40);
});

it('is neither changed nor deleted with any If-Match, with the same statements as a thing that does not exist', async () => {
  const revisions = new Map<string, string>();
  for (const { method, path, reach } of adminEndpoints(server.core)) {
    if (reach !== 'organization' || !/^\/(clients\/\{client_id\}|(contacts|access-keys)\/\{id\})$/.test(path)) continue;
    const { theirs, missing } = idsIn(path);
    if (method === 'get') {
      const { headers } = await server.adminFetch(fillIn(path, theirs), { token: other.token });
      revisions.set(path, headers.get('etag') ?? '');
    }
    if (!/patch|delete/.test(method)) continue;
    for (const revision of [revisions.get(path) ?? '', '"1"', '*']) {
      const [one, two] = await askBoth(theirs, missing, (ids) => (headers) => {
        const body = method === 'patch' ? { body: { name: 'X' } } : {};
        const conditional = { ...headers, 'if-match': revision };
        return server.adminFetch(fillIn(path, ids), {
          method: method.toUpperCase(),
          token,
          headers: conditional,
          ...body,
        });
      });
      await expectSame(`${method} ${path} ${revision}`, one, theirs, two, missing);
      expect([method, path, one.status]).toEqual([method, path, 404]);
    }
  }
  expect([...revisions.values()].filter((tag) => tag !== '')).toHaveLength(3);
});

it('is found by no filter, search and audit list, with the same statements as an unknown id', async () => {
  for (const [list, theirs, unknown] of [
    ['/audit-events?target=', other.client, generateClientId()],
    ['/audit-events?target=', other.contact, randomUUID()],
    ['/audit-events?actor=', other.operator, randomUUID()],
    ['/access-keys?contact_id=', other.contact, randomUUID()],
    ['/clients?owner_contact_id=', other.contact, randomUUID()],
    ['/clients?organization_id=', other.contact, randomUUID()],
    ['/notices?subject=', other.client, generateClientId()],
    ['/search?q=', other.client, generateClientId()],
  ] as const) {
    const [one, two] = await askBoth(
      [theirs],
      [unknown],
      ([id = '']) =>
        (headers) =>
          server.adminFetch(list + id, { token, headers }),
    );
    await expectSame(list, one, [theirs], two, [unknown]);
    expect([list, one.text.includes('Theirs')]).toEqual([list, false]);
  }
});

it('is not continued by a cursor of any list, and shows nothing behind it', async () => {
  const lists = ['/contacts', '/clients', '/access-keys', '/audit-events', '/notices', '/expirations'];
  for (const as of [token, other.token]) {
    const name = as === token ? 'Mine' : 'Theirs as well';
    const make = async (path: string, body: object) =>
      (await server.adminFetch(path, { method: 'POST', token: as, body })).json;
    for (const nth of [1, 2, 3]) {
      const { id } = await make('/contacts', { name, email: 'x@example.com' });
      const ends = new Date(Date.now() + nth * 86_400_000).toISOString();
      await make(`/contacts/${id}/access-keys`, { name, permissions: {}, expires_at: ends });
      await make('/clients', { name, kind: 'integration' });
      // Makes a notice.
      await make(`/contacts/${id}/operator-token`, {});
    }
  }
  for (const list of lists) {
    const { json: theirs } = await server.adminFetch(`${list}?limit=1`, { token: other.token });
    const { json: mine } = await server.adminFetch(`${list}?limit=1`, { token });
    const follow = (cursor: string) => (headers: Record<string, string>) =>
      server.adminFetch(`${list}?limit=1&cursor=${cursor}`, { token, headers });
    expect([list, typeof theirs.next_cursor, typeof mine.next_cursor]).toEqual([list, 'string', 'string']);
    await record(follow(mine.next_cursor));
    const [one, two] = [await record(follow(theirs.next_cursor)), await record(follow(mine.next_cursor))];
    await expectSameStatements(list, one, two);
    expect([list, /heirs/.test(one.text)]).toEqual([list, false]);
  }
});

it('is not answered again for an idempotency key, which costs the same as a new one', async () => {
  const key = randomUUID();
  const create = (as: string, once: string) => (headers: Record<string, string>) =>
    server.adminFetch('/contacts', {
      method: 'POST',
      token: as,
      headers: { ...headers, 'idempotency-key': once },
      body: { name: 'Same name', email: 'same@example.com' },
    });
  const theirs = await record(create(other.token, key));
  expect(theirs.status).toBe(201);
  const [one, two] = [await record(create(token, key)), await record(create(token, randomUUID()))];
  await expectSameStatements('idempotency', one, two);
  expect(JSON.parse(one.text).id).not.toBe(JSON.parse(theirs.text).id);
  expect(JSON.parse(one.text).organization_id).toBe(organization);
});

it('is not seen in the stream of events, which is for resource servers alone', async () => {
  const { client_id: id, client_secret: secret } = await server.post('/clients', {
    name: 'Mine',
    kind: 'integration',
    organization_id: organization,
  });
  const authorization = `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`;
  const { status, headers } = await fetch(`${server.publicUrl}/oauth2/events`, { headers: { authorization } });
  expect([status >= 400, headers.get('content-type')]).toEqual([true, expect.not.stringContaining('event-stream')]);
});

/** Records requests for both, after one that fills the caches of what both read. */
async function askBoth(
  theirs: readonly string[],
  missing: readonly string[],
  request: (ids: readonly string[]) => Parameters<typeof record>[0],
): Promise<[Answered, Answered]> {
  await record(request(missing));
  return [await record(request(theirs)), await record(request(missing))];
}
