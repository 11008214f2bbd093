import { decodeJwt } from 'jose';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { endpointsOf, type TestClient } from '../oauth/fixture.ts';

let server: AdminServer;
let api: ReturnType<typeof endpointsOf>;
let now = Date.now();

beforeAll(async () => {
  server = await startAdminServer({ clock: () => now });
  api = endpointsOf(server.publicUrl);
});
afterAll(() => server?.close());

type Json = Record<string, unknown>;

async function create(body: Json): Promise<TestClient> {
  const { status, json, text } = await server.adminFetch('/clients', { method: 'POST', body });
  if (status !== 201) throw new Error(text);
  return { id: json.client_id, secret: json.client_secret };
}

/** Registers a resource server whose identifier contains its name. */
const createApi = (name: string, body: Json = {}) =>
  create({ name, kind: 'resource_server', resource: uri(name), ...body });
const createClient = (scope: string, body: Json = {}) => create({ name: 'Shop', kind: 'integration', scope, ...body });
const change = (client: TestClient, body: Json) =>
  server.adminFetch(`/clients/${client.id}`, { method: 'PATCH', body });
const uri = (name: string) => `https://${name}.example`;

async function createKey(body: Json): Promise<{ id: string; access_key: string }> {
  const contact = await server.adminFetch('/contacts', {
    method: 'POST',
    body: { name: 'Ann', email: 'a@example.com' },
  });
  const path = `/contacts/${contact.json.id}/access-keys`;
  const { status, json, text } = await server.adminFetch(path, { method: 'POST', body: { name: 'key', ...body } });
  if (status !== 201) throw new Error(text);
  return json;
}

/** Introspects twice, because the second answer may come from a cache. */
async function scopeAt(at: TestClient, token: string, form: Record<string, string> = {}): Promise<unknown> {
  const [first, second] = [await api.introspect(at, token, form), await api.introspect(at, token, form)];
  expect(second.text).toBe(first.text);
  return first.json['active'] ? first.json['scope'] : 'inactive';
}

const read = (kind: string, names: { name: string; aliases?: string[] }) => ({
  description: 'Read',
  information: kind,
  action: 'read',
  ...names,
});

describe.each(['opaque', 'jwt'] as const)('a resource server with %s tokens', (format) => {
  it('grants a permission under each of its names, and answers with the name that was asked for', async () => {
    const kind = `ships_${format}`;
    const at = await createApi(`names-${format}`, {
      information: [kind],
      token_format: format,
      scopes: [read(kind, { name: `${kind}.read`, aliases: [`read:${kind}`] })],
    });
    for (const held of [`${kind}:read`, `${kind}.read`, `read:${kind}`]) {
      const client = await createClient(held);
      for (const asked of [`${kind}:read`, `${kind}.read`, `read:${kind}`]) {
        const answer = await api.token(client, { scope: asked });
        expect([answer.status, answer.json['scope']]).toEqual([200, asked]);
        const token = answer.json['access_token'] as string;
        expect(await scopeAt(at, token)).toBe(asked);
        if (format === 'jwt') expect(decodeJwt(token)['scope']).toBe(asked);
      }
      const answer = await api.token(client);
      expect(answer.json['scope']).toBe(held);
      expect(await scopeAt(at, answer.json['access_token'] as string)).toBe(held);
      for (const other of [`${kind}:update`, `${kind}.write`]) {
        expect((await api.token(client, { scope: other })).json['error']).toBe('invalid_scope');
      }
    }
  });

  it('grants a declared scope without a kind of information', async () => {
    const name = `https://scopes.example/${format}/reports.export?a=[1]`;
    const at = await createApi(`export-${format}`, {
      token_format: format,
      scopes: [{ name, description: 'Export reports', sensitive: true }],
    });
    const client = await createClient(name);
    const answer = await api.token(client);
    expect(answer.json['scope']).toBe(name);
    const token = answer.json['access_token'] as string;
    expect(await scopeAt(at, token)).toBe(name);
    await change(client, { scope: '' });
    expect(await scopeAt(at, token)).toBe('inactive');
  });

  it('never gives a live token a permission through a name that is declared or redefined later', async () => {
    const kind = `crates_${format}`;
    const at = await createApi(`later-${format}`, { information: [kind], token_format: format });
    const client = await createClient(`${kind}:read ${kind}:delete`);
    const token = await api.accessToken(client, { scope: `${kind}:read` });
    const scopes = [read(kind, { name: `${kind}.x` })];
    expect((await change(at, { scopes })).status).toBe(200);
    expect(await scopeAt(at, token)).toBe(`${kind}:read`);
    const named = await api.accessToken(client, { scope: `${kind}.x` });
    expect(await scopeAt(at, named)).toBe(`${kind}.x`);
    // The same name for another permission.
    now += 2_000;
    const other = [{ ...scopes[0], action: 'delete' }];
    const { json } = await change(at, { scopes: other });
    expect((await change(at, { scopes: other, confirmation: json.review.confirmation })).status).toBe(200);
    expect(await scopeAt(at, named)).toBe('inactive');
  });
});

describe('an access key', () => {
  it('narrows a token by the permission, whatever its name, and holds declared scopes in `scope`', async () => {
    const at = await createApi('keys', {
      information: ['masts'],
      scopes: [read('masts', { name: 'masts.read' }), { name: 'masts.export', description: 'Export' }],
    });
    const client = await createClient('masts.read masts.export masts:update');
    const byCell = await createKey({ permissions: { masts: ['read'] } });
    expect((await api.token(client, { access_key: byCell.access_key })).json['scope']).toBe('masts.read');
    const byName = await createKey({ permissions: {}, scope: 'masts.export' });
    const answer = await api.token(client, { access_key: byName.access_key });
    expect(answer.json['scope']).toBe('masts.export');
    const token = answer.json['access_token'] as string;
    expect(await scopeAt(at, token)).toBe('masts.export');
    // A key that is presented with the introspection narrows by permission too.
    const whole = await api.accessToken(client);
    expect(await scopeAt(at, whole, { access_key: byCell.access_key })).toBe('masts.read');

    const shown = await server.adminFetch(`/access-keys/${byName.id}`);
    expect([shown.json.permissions, shown.json.scope]).toEqual([{}, 'masts.export']);
    const patch = (body: Json) => server.adminFetch(`/access-keys/${byName.id}`, { method: 'PATCH', body });
    const widened = await patch({ permissions: { masts: ['read'] } });
    expect([widened.json.permissions, widened.json.scope]).toEqual([{ masts: ['read'] }, 'masts.export']);
    expect((await patch({ scope: '' })).json.permissions).toEqual({ masts: ['read'] });
    expect(await scopeAt(at, token)).toBe('inactive');
    const unknown = await patch({ scope: 'masts.paint' });
    expect([unknown.status, unknown.json.detail]).toEqual([
      400,
      expect.stringMatching(/^scope: "masts\.paint" is not offered by any resource server\. Offered: .*masts\.export/),
    ]);
  });

  it('reports the use of a permission under the name that the key has it by', async () => {
    const at = await createApi('use', { information: ['sails'], scopes: [read('sails', { name: 'sails.read' })] });
    const client = await createClient('sails.read');
    const key = await createKey({ permissions: { sails: ['read', 'update'] } });
    const token = await api.accessToken(client, { access_key: key.access_key });
    await api.introspect(at, token, { used_scope: 'sails.read' });
    await server.core.usedScopes.flush();
    expect((await server.adminFetch(`/access-keys/${key.id}`)).json.usage.used_scope).toEqual(['sails:read']);
  });
});

describe('a name that two resource servers offer', () => {
  it('is granted only if `resource` or the client says which one is meant', async () => {
    const scopes = [{ name: 'admin', description: 'Everything' }];
    const [one, two] = [await createApi('one', { scopes }), await createApi('two', { scopes })];
    const client = await createClient('admin');
    for (const form of [{}, { scope: 'admin' }]) {
      const { status, json } = await api.token(client, form);
      expect([status, json['error'], json['error_description']]).toEqual([
        400,
        'invalid_target',
        'The scope admin is offered by several resource servers. Select one with `resource`.',
      ]);
    }
    const token = await api.accessToken(client, { resource: uri('one') });
    expect([await scopeAt(one, token), await scopeAt(two, token)]).toEqual(['admin', 'inactive']);

    const decided = await createClient('admin', { resource: uri('two') });
    const own = await api.accessToken(decided);
    expect([await scopeAt(one, own), await scopeAt(two, own)]).toEqual(['inactive', 'admin']);
    const elsewhere = await api.token(decided, { scope: 'admin', resource: uri('one') });
    expect(elsewhere.json['error']).toBe('invalid_scope');
  });

  it('cannot be declared by the second one while a client would get its permission', async () => {
    const scopes = [{ name: 'root', description: 'Everything' }];
    const first = await createApi('first', { scopes });
    const client = await createClient('root');
    const token = await api.accessToken(client);
    const second = await createApi('second', {});
    now += 10;
    const refused = await change(second, { scopes });
    expect([refused.status, refused.json.code, refused.json.total]).toEqual([409, 'scope_name_taken', 1]);
    expect(refused.json.clients).toEqual([{ client_id: client.id, name: 'Shop' }]);

    await change(client, { resource: uri('first') });
    expect((await change(second, { scopes })).status).toBe(200);
    expect([await scopeAt(first, token), await scopeAt(second, token)]).toEqual(['root', 'inactive']);
  });
});

describe('declared scopes', () => {
  const declare = async (scopes: Json[], information = ['orders']) => {
    const body = { name: 'Any', kind: 'resource_server', resource: uri(`any${Math.random()}`), information, scopes };
    const { status, json } = await server.adminFetch('/clients', { method: 'POST', body });
    return [status, json.issues?.[0]?.path];
  };
  const good = { name: 'x.y', description: 'Some' };

  it.each([
    ['a name with a space', [{ ...good, name: 'a b' }], 'scopes.0.name'],
    ['a name with a quotation mark', [good, { ...good, name: 'a"b' }], 'scopes.1.name'],
    ['a name of 129 characters', [{ ...good, name: 'n'.repeat(129) }], 'scopes.0.name'],
    ['an alias that is no scope-token', [{ ...good, aliases: ['ok', 'é'] }], 'scopes.0.aliases.1'],
    ['a name twice', [good, { ...good, name: 'z', aliases: ['x.y'] }], 'scopes.1.aliases'],
    ['no description', [{ ...good, description: '' }], 'scopes.0.description'],
    ['a kind without an action', [{ ...good, information: 'orders' }], 'scopes.0.action'],
    ['an unknown kind', [{ ...good, information: 'boats', action: 'read' }], 'scopes.0.information'],
    ['a generated name that means something else', [{ ...good, name: 'orders:read' }], 'scopes.0.name'],
    ['an unknown member', [{ ...good, id: '#1' }], undefined],
    ['a deprecated name of no scope', [{ ...good, deprecated: ['z'] }], 'scopes.0.deprecated'],
  ])('are rejected with %s', async (_, scopes, path) => {
    const [status, named] = await declare(scopes);
    expect(status).toBe(400);
    if (path) expect(named).toBe(path);
  });

  it('are shown as they were given, listed in the metadata, and only of resource servers', async () => {
    const name = `n${'~'.repeat(127)}`;
    const at = await createApi('shown', {
      information: ['logs'],
      scopes: [
        { name, description: 'Long', aliases: ['log!'], sensitive: true },
        { name: 'logs:read', description: 'Read the logs', information: 'logs', action: 'read' },
      ],
    });
    const { json } = await server.adminFetch(`/clients/${at.id}`);
    const plain = { aliases: [], information: null, action: null, sensitive: false, deprecated: [] };
    expect(json.scopes).toEqual([
      { ...plain, name, description: 'Long', aliases: ['log!'], sensitive: true },
      { ...plain, name: 'logs:read', description: 'Read the logs', information: 'logs', action: 'read' },
    ]);
    const metadata = await (await fetch(`${server.publicUrl}/.well-known/oauth-authorization-server`)).json();
    expect(metadata).toMatchObject({ scopes_supported: expect.arrayContaining([name, 'log!', 'logs:read']) });
    const body = { name: 'I', kind: 'integration', scopes: [good] };
    expect((await server.adminFetch('/clients', { method: 'POST', body })).status).toBe(400);
    const stayed = await change(at, { name: 'Renamed' });
    expect(stayed.json.scopes).toEqual(json.scopes);
  });

  it('cannot be removed while a client or an access key has them', async () => {
    const at = await createApi('held', { scopes: [{ name: 'held.a', description: 'A' }] });
    const client = await createClient('held.a');
    await createKey({ permissions: {}, scope: 'held.a' });
    // The clients are listed in the order in which they were created.
    now += 1;
    await api.accessToken(client, { scope: 'held.a' });
    const usedAt = new Date(now).toISOString();
    await createClient('held.a', { name: 'Idle' });
    const refused = await change(at, { scopes: [] });
    expect([refused.status, refused.json.code, refused.json.total]).toEqual([409, 'scope_in_use', 3]);
    expect(refused.json.scope).toBe('held.a');
    expect(refused.json.clients).toEqual([
      { client_id: client.id, name: expect.any(String), last_used_at: usedAt },
      { client_id: expect.any(String), name: 'Idle' },
    ]);
    // A renamed scope keeps its permission if the previous name stays an alias.
    const renamed = await change(at, { scopes: [{ name: 'held.b', description: 'A', aliases: ['held.a'] }] });
    expect(renamed.status).toBe(200);
    const token = await api.accessToken(client, { scope: 'held.b' });
    expect(await scopeAt(at, token)).toBe('held.b');
  });
});

describe('a change that removes a name', () => {
  const scopes = (...names: string[][]) =>
    names.map(([name = '', ...aliases]) => ({ name, aliases, description: 'Some', ...cell }));
  const cell = { information: 'docks', action: 'read' };

  it('shows who used the name in the last 30 days, and needs the confirmation of that review', async () => {
    const at = await createApi('docks', { information: ['docks'], scopes: scopes(['docks.read', 'read:docks']) });
    const client = await createClient('docks:read', { name: 'Harbour' });
    const token = await api.accessToken(client, { scope: 'read:docks' });
    const first = new Date(now).toISOString();
    const review = await change(at, { scopes: scopes(['docks.read']) });
    expect([review.status, review.json.code]).toEqual([428, 'confirmation_required']);
    const use = { client_id: client.id, name: 'Harbour', last_used_at: first };
    expect(review.json.review.impact).toEqual({
      scopes: [
        {
          scope: 'read:docks',
          used_by: [use],
          used_by_others: 0,
          effect: 'removed',
          replaced_by: 'docks.read',
          held_by: { clients: 0, access_keys: 0 },
        },
      ],
    });
    expect((await server.adminFetch(`/clients/${at.id}`)).json.scopes[0].aliases).toEqual(['read:docks']);

    // A rename that keeps the previous names as aliases removes nothing.
    const renamed = await change(at, { scopes: scopes(['docks.view', 'docks.read', 'read:docks']) });
    expect(renamed.status).toBe(200);
    const { confirmation } = review.json.review;
    const stale = await change(at, { scopes: scopes(['docks.view', 'docks.read']), confirmation });
    expect(stale.status).toBe(428);
    const other = await change(at, { scopes: scopes(['docks.view']), confirmation: stale.json.review.confirmation });
    expect(other.status).toBe(428);
    const done = await change(at, {
      scopes: scopes(['docks.view', 'docks.read']),
      confirmation: stale.json.review.confirmation,
    });
    expect(done.status).toBe(200);
    expect(await scopeAt(at, token)).toBe('inactive');
    expect((await api.token(client, { scope: 'read:docks' })).json['error']).toBe('invalid_scope');
  });

  it('needs none if a scope of its own becomes a kind of information and an action, and widens no live token', async () => {
    const own = { name: 'buoys.read', description: 'Read' };
    const at = await createApi('buoys', { information: ['buoys'], scopes: [own] });
    const client = await createClient('buoys.read buoys:update');
    const key = await createKey({ permissions: { buoys: ['read', 'update'] } });
    const token = await api.accessToken(client);
    const narrowed = await api.accessToken(client, { access_key: key.access_key });
    expect(await scopeAt(at, narrowed)).toBe('buoys:update');
    now += 10_000;
    const cells = [read('buoys', { name: 'buoys.read', aliases: ['read:buoys'] })];
    expect((await change(at, { scopes: cells })).status).toBe(200);
    expect(await scopeAt(at, token)).toBe('buoys.read buoys:update');
    expect(await scopeAt(at, narrowed)).toBe('buoys:update');
    const again = await api.token(client, { access_key: key.access_key });
    expect(again.json['scope']).toBe('buoys.read buoys:update');
    expect((await api.token(client, { scope: 'read:buoys' })).status).toBe(200);
  });

  it('needs no confirmation for a name that was not used in the last 30 days', async () => {
    const at = await createApi('piers', { information: ['docks'], scopes: scopes(['piers.read'], ['piers.old']) });
    const client = await createClient('docks:read');
    await api.accessToken(client, { scope: 'piers.old' });
    await server.core.grantedScopes.flush();
    now += 31 * 86_400_000;
    expect((await change(at, { scopes: scopes(['piers.read']) })).status).toBe(200);
    expect((await change(at, { scopes: [] })).status).toBe(200);
  });
});

describe('a rename that takes the previous name away', () => {
  it('shows who has and who used the name, and gives them the new one once it is confirmed', async () => {
    const at = await createApi('quays', { scopes: [{ name: 'quays.read', description: 'Read' }] });
    const [user, idle] = [
      await createClient('quays.read', { default_scope: 'quays.read' }),
      await createClient('quays.read'),
    ];
    const key = await createKey({ permissions: {}, scope: 'quays.read' });
    const ceiling = { scopes: [{ resource: uri('quays'), scope: 'quays.read' }] };
    const organization = (await server.adminFetch('/organizations', { method: 'POST', body: { name: 'Q', ceiling } }))
      .json;
    const theirs = await createClient('quays.read', { organization_id: organization.id });
    const token = await api.accessToken(user);
    const scopes = [{ name: 'quays:view', description: 'Read', renamed_from: 'quays.read' }];

    const asked = await change(at, { scopes });
    expect([asked.status, asked.json.code]).toEqual([428, 'confirmation_required']);
    expect(asked.json.review.impact.scopes).toEqual([
      {
        scope: 'quays.read',
        effect: 'renamed',
        replaced_by: 'quays:view',
        held_by: { clients: 3, access_keys: 1 },
        used_by: [{ client_id: user.id, name: 'Shop', last_used_at: expect.any(String) }],
        used_by_others: 0,
      },
    ]);
    await createClient('quays.read');
    const stale = await change(at, { scopes, confirmation: asked.json.review.confirmation });
    expect([stale.status, stale.json.review.impact.scopes[0].held_by.clients]).toEqual([428, 4]);
    const done = await change(at, { scopes, confirmation: stale.json.review.confirmation });
    expect(done).toMatchObject({ status: 200, json: { scopes: [{ name: 'quays:view' }] } });

    const shown = (await server.adminFetch(`/clients/${user.id}`)).json;
    expect([shown.scope, shown.default_scope]).toEqual(['quays:view', 'quays:view']);
    expect((await server.adminFetch(`/access-keys/${key.id}`)).json.scope).toBe('quays:view');
    const { json: changed } = await server.adminFetch(`/organizations/${organization.id}`);
    expect(changed.ceiling.scopes).toEqual([{ resource: uri('quays'), scope: 'quays:view' }]);
    for (const client of [user, idle, theirs]) expect((await api.token(client)).json['scope']).toBe('quays:view');
    expect((await api.token(user, { access_key: key.access_key })).json['scope']).toBe('quays:view');
    expect((await api.token(user, { scope: 'quays.read' })).json['error']).toBe('invalid_scope');
    expect(await scopeAt(at, token)).toBe('inactive');
    for (const target of [user.id, key.id, organization.id]) {
      const { data } = (await server.adminFetch(`/audit-events?target=${target}`)).json;
      expect(JSON.stringify(data[0].after)).toContain('quays:view');
    }
  });

  it('moves those who have an alias to the first name when the alias is removed', async () => {
    const names = (aliases: string[]) => [{ name: 'locks.read', aliases, description: 'Read' }];
    const at = await createApi('locks', { scopes: names(['read:locks']) });
    const client = await createClient('locks.read read:locks');
    const asked = await change(at, { scopes: names([]) });
    expect([asked.status, asked.json.review.impact.scopes[0].replaced_by]).toEqual([428, 'locks.read']);
    expect((await change(at, { scopes: names([]), confirmation: asked.json.review.confirmation })).status).toBe(200);
    expect((await server.adminFetch(`/clients/${client.id}`)).json.scope).toBe('locks.read');
  });

  it('changes nothing at a client that has the name from another resource server too', async () => {
    const scopes = [{ name: 'tugs.read', description: 'Read' }];
    const [one] = [await createApi('tugs', { scopes }), await createApi('tugs-2', { scopes })];
    const client = await createClient('tugs.read', { resource: uri('tugs-2') });
    const renamed = [{ name: 'tugs.view', description: 'Read', renamed_from: 'tugs.read' }];
    expect((await change(one, { scopes: renamed })).status).toBe(200);
    expect((await server.adminFetch(`/clients/${client.id}`)).json.scope).toBe('tugs.read');
  });
});

describe('a deprecated name', () => {
  const scopes = (deprecated: string[]) => [
    { name: 'sluices.read', aliases: ['read:sluices'], description: 'Read', deprecated },
  ];

  it('stays valid, is not listed in the metadata, and shows who still uses it', async () => {
    const at = await createApi('sluices', { scopes: scopes([]) });
    const client = await createClient('read:sluices', { name: 'Gate' });
    await api.accessToken(client);
    const asked = await change(at, { scopes: scopes(['read:sluices']) });
    const [impact] = asked.json.review.impact.scopes;
    expect([asked.status, impact.effect, impact.used_by[0].client_id]).toEqual([428, 'deprecated', client.id]);
    const { confirmation } = asked.json.review;
    const done = await change(at, { scopes: scopes(['read:sluices']), confirmation });
    expect([done.status, done.json.scopes[0].deprecated]).toEqual([200, ['read:sluices']]);
    // An unchanged list needs no confirmation, and neither does a name that is no longer deprecated.
    expect((await change(at, { scopes: scopes(['read:sluices']) })).status).toBe(200);

    now += 60_000;
    const token = await api.accessToken(client, { scope: 'read:sluices' });
    expect(await scopeAt(at, token)).toBe('read:sluices');
    const listed = await (await fetch(`${server.publicUrl}/.well-known/oauth-authorization-server`)).json();
    expect(listed.scopes_supported).toContain('sluices.read');
    expect(listed.scopes_supported).not.toContain('read:sluices');
    const usage = await server.adminFetch(`/clients/${at.id}/scope-usage`);
    const use = { client_id: client.id, name: 'Gate', last_used_at: new Date(now).toISOString() };
    expect(usage.json.scopes).toEqual([
      { scope: 'sluices.read', deprecated: false, used_by: [], used_by_others: 0 },
      { scope: 'read:sluices', deprecated: true, used_by: [use], used_by_others: 0 },
    ]);
    expect((await change(at, { scopes: scopes([]) })).status).toBe(200);
  });
});
