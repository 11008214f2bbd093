import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { consolePages } from '../../src/admin/console/pages.ts';
import { adminEndpoints } from '../../src/admin/endpoints.ts';
import { type Permission, permissions } from '../../src/contacts/contact.ts';
import { generateClientId } from '../../src/credentials/credential-format.ts';
import { withinOrganization } from '../../src/storage/organization-limit.ts';
import { type ConsoleServer, startConsole } from '../console/console-server.ts';
import { createTestStores } from '../harness.ts';

/** Part of every name that an operator of another organization must not see. */
const hidden = 'Zzhidden';

/** The ids of one thing of each kind, all of the same organization. */
type World = {
  organization: string | undefined;
  client: string;
  regeneration: string;
  contact: string;
  key: string;
  keyRegeneration: string;
  session: string;
  notice: string;
  webhook: string;
  provider: string;
  token: string;
  trust: string;
  invitation: string;
};

describe.each(['PostgreSQL over the network', 'embedded PostgreSQL'] as const)('with %s', (kind) => {
  let server: ConsoleServer;
  let own: World;
  /** Things that an operator of the first organization must not reach. */
  let others: World[];
  const tokens = new Map<Permission, string>();
  const hold = (permission: Permission) => tokens.get(permission) ?? '';

  async function post(path: string, body: object = {}) {
    const answer = await server.adminFetch(path, { method: 'POST', body });
    if (answer.status > 299) throw new Error(`POST ${path}: ${answer.status} ${answer.text}`);
    return answer.json;
  }

  async function regenerate(path: string): Promise<string> {
    const { confirmation } = await post(`${path}/regeneration/review`);
    return (await post(`${path}/regenerate`, { confirmation })).regeneration_id;
  }

  async function fill(organization: string | undefined, name: string, path = '{regeneration_id}'): Promise<World> {
    const of = organization === undefined ? {} : { organization_id: organization };
    const { client_id: client } = await post('/clients', { name, kind: 'integration', scope: 'orders:read', ...of });
    const { id: contact } = await post('/contacts', { name, email: 'someone@example.com', ...of });
    const { id: key } = await post(`/contacts/${contact}/access-keys`, { name, permissions: { orders: ['read'] } });
    const { operator_token: token } = await post(`/contacts/${contact}/operator-token`);
    await server.signIn(token);
    const { id: provider } = await post('/identity-providers', {
      name,
      issuer: 'https://login.example',
      client_id: 'x',
      ...of,
    });
    const { id: bounded } = await post('/operator-tokens', { name, contact_id: contact });
    const [session] = (await server.adminFetch(`/contacts/${contact}/sessions`)).json.data;
    if (path.endsWith('/authorization-token') || name === hidden) await post(`/clients/${client}/authorization-token`);
    if (path.endsWith('/handover') || name === hidden) {
      for (const owner of [`/clients/${client}`, `/access-keys/${key}`]) {
        const { confirmation } = await post(`${owner}/regeneration/review`);
        await post(`${owner}/handover`, { confirmation, email: `${name === hidden ? hidden : 'own'}@example.com` });
      }
    }
    const hasRotations = path.includes('{regeneration_id}');
    const regeneration = hasRotations ? await regenerate(`/clients/${client}`) : '';
    const keyRegeneration = hasRotations ? await regenerate(`/access-keys/${key}`) : '';
    // Of its operator token.
    const { json: notices } = await server.adminFetch(`/notices?subject=${contact}`);
    const notice = notices.data[0].id as string;
    const url = `https://${name === hidden ? hidden : 'own'}.example/`;
    const hasWebhook = path.startsWith('/webhooks') || [hidden, 'Own'].includes(name);
    const webhook = hasWebhook ? (await post('/webhooks', { name, url, ...of })).id : '';
    const { id: trust } = await post('/trusts', {
      client_id: client,
      name,
      issuer: 'https://issuer.example',
      conditions: [{ claim: 'sub', equals: name }],
    });
    const invited = { email: `${crypto.randomUUID()}@example.com`, name, permissions: ['contacts:manage'], ...of };
    const { id: invitation } = await post('/invitations', invited);
    return {
      organization,
      client,
      regeneration,
      contact,
      key,
      keyRegeneration,
      session: session.id,
      notice,
      webhook,
      provider,
      token: bounded,
      trust,
      invitation,
    };
  }

  async function operatorOf(organization: string, granted: readonly Permission[]): Promise<string> {
    const body = { name: 'Own operator', email: 'a@example.com', organization_id: organization, permissions: granted };
    const { id } = await post('/contacts', body);
    return (await post(`/contacts/${id}/operator-token`)).operator_token;
  }

  beforeAll(async () => {
    const stores = await createTestStores();
    const embedded = {
      DATABASE_URL: undefined,
      REDIS_URL: undefined,
      KEYTURN_DATA_DIR: await mkdtemp(join(tmpdir(), 'keyturn-reach-')),
    };
    const portal = { KEYTURN_PORTAL_URL: 'https://portal.example' };
    server = await startConsole({ stores, env: { ...portal, ...(kind === 'embedded PostgreSQL' ? embedded : {}) } });
    await post('/clients', {
      // People of an organization see the names of APIs whose scopes they may have, and nothing else of them.
      name: 'Shop API',
      description: hidden,
      kind: 'resource_server',
      resource: 'https://api.example',
      information: ['orders'],
    });
    const { id: first } = await post('/organizations', { name: 'Own' });
    const { id: second } = await post('/organizations', { name: hidden, external_id: hidden });
    own = await fill(first, 'Own');
    others = [await fill(second, hidden), await fill(undefined, hidden)];
    for (const permission of permissions) tokens.set(permission, await operatorOf(first, [permission]));
  }, 600_000);
  afterAll(() => server.close());

  /** Replaces the parameters of a path by the ids of a world, or by ids that do not exist. */
  function fillIn(path: string, world: World | undefined): string {
    const isOfKey = path.startsWith('/access-keys');
    const isOfOrganization = path.startsWith('/organizations');
    const isOfContact = path.startsWith('/contacts');
    const ofWebhook = path.startsWith('/webhooks') ? world?.webhook : undefined;
    const ofNotice = path.startsWith('/notices') ? world?.notice : undefined;
    const isOfToken = path.startsWith('/operator-tokens');
    const isOfProvider = path.startsWith('/identity-providers');
    const ofTrust = path.startsWith('/trusts') ? world?.trust : undefined;
    const ofInvitation = path.startsWith('/invitations') ? world?.invitation : undefined;
    return path
      .replace(/\{client_id\}|:client_id/, world?.client ?? generateClientId())
      .replace(
        /\{regeneration_id\}|:regeneration_id/,
        () => (isOfKey ? world?.keyRegeneration : world?.regeneration) ?? crypto.randomUUID(),
      )
      .replace(
        /\{id\}|:id/,
        () =>
          (isOfToken
            ? world?.token
            : isOfProvider
              ? world?.provider
              : isOfOrganization
                ? world?.organization
                : isOfContact
                  ? world?.contact
                  : isOfKey
                    ? world?.key
                    : (ofWebhook ?? ofNotice ?? ofTrust ?? ofInvitation)) ?? crypto.randomUUID(),
      )
      .replace(/\{session_id\}|:session_id/, world?.session ?? crypto.randomUUID())
      .replace(/\{passkey_id\}|:passkey_id/, crypto.randomUUID())
      .replace(/\{kid\}|:kid/, 'kid');
  }

  const bodies: Record<string, object> = {
    'post /clients': { name: 'New', kind: 'integration' },
    'post /configuration/plan': { documents: [{ kind: 'integration', name: 'New' }], prune: true },
    'post /configuration/apply': { documents: [] },
    'post /identity-providers': { name: 'New', issuer: 'https://login.example', client_id: 'x' },
    'patch /identity-providers/{id}': { name: 'Changed' },
    'post /contacts': { name: 'New', email: 'new@example.com' },
    'post /contacts/{id}/access-keys': { name: 'New', permissions: {} },
    'patch /notices/settings': { kinds: { new_network: true } },
    'patch /clients/{client_id}': { name: 'Changed' },
    'patch /contacts/{id}': { name: 'Changed' },
    'patch /access-keys/{id}': { name: 'Changed' },
    'patch /trusts/{id}': { name: 'Changed' },
  };

  const routes = () =>
    adminEndpoints(server.core).map((endpoint) => ({ ...endpoint, route: `${endpoint.method} ${endpoint.path}` }));

  async function ask(route: string, world: World | undefined, token: string) {
    const [method = '', path = ''] = route.split(' ');
    const query = path === '/search' ? '?q=zzhidden' : '';
    const body = method === 'get' ? {} : { body: bodies[route] ?? {} };
    return await server.adminFetch(fillIn(path, world) + query, { method: method.toUpperCase(), token, ...body });
  }

  it('rejects every endpoint for the whole deployment, and others without their permission', async () => {
    for (const { route, permission, reach, own } of routes()) {
      for (const held of permissions) {
        const isAllowed = reach === 'organization' && (permission === null || permission === held || own === true);
        const { status } = await ask(route, undefined, hold(held));
        if (isAllowed)
          expect([route, held, [200, 201, 400, 404, 409, 428].includes(status)]).toEqual([route, held, true]);
        else expect([route, held, status]).toEqual([route, held, 403]);
      }
    }
  });

  it('answers requests for things of others like requests for things that do not exist, and never shows them', async () => {
    for (const { route, permission, reach, path } of routes()) {
      if (reach !== 'organization') continue;
      const token = hold(permission ?? 'integrations:view');
      const missing = path.includes('{') ? await ask(route, undefined, token) : undefined;
      for (const world of others) {
        const answer = await ask(route, world, token);
        expect([route, answer.text.includes(hidden)]).toEqual([route, false]);
        for (const id of Object.values(world))
          if (id) expect([route, answer.text.includes(id)]).toEqual([route, false]);
        if (missing) expect([route, answer.status, answer.text]).toEqual([route, missing.status, missing.text]);
      }
    }
    for (const world of others) {
      const { json } = await server.adminFetch(`/clients/${world.client}`);
      expect(json).toMatchObject({ name: hidden, status: 'enabled' });
    }
  });

  it('does not accept things of others in bodies and filters', async () => {
    const viewer = hold('integrations:view');
    for (const world of others) {
      const organization = world.organization ?? '00000000-0000-8000-8000-000000000001';
      const refusals: [string, string, Permission, object][] = [
        ['POST', '/clients', 'api_key:manage', { name: 'X', kind: 'integration', organization_id: organization }],
        ['POST', '/clients', 'api_key:manage', { name: 'X', kind: 'integration', owner_contact_id: world.contact }],
        ['POST', '/clients', 'api_key:manage', { name: 'X', kind: 'resource_server', resource: 'https://x.example' }],
        ['PATCH', `/clients/${own.client}`, 'integrations:edit', { organization_id: organization }],
        ['PATCH', `/clients/${own.client}`, 'integrations:edit', { owner_contact_id: world.contact }],
        ['POST', '/contacts', 'contacts:manage', { name: 'X', email: 'x@example.com', organization_id: organization }],
        ['PATCH', `/contacts/${own.contact}`, 'contacts:manage', { organization_id: organization }],
        [
          'POST',
          '/identity-providers',
          'contacts:manage',
          { name: 'X', issuer: 'https://x.example', client_id: 'x', organization_id: organization },
        ],
        [
          'POST',
          `/contacts/${own.contact}/access-keys`,
          'integrations:edit',
          { name: 'X', permissions: {}, clients: [world.client] },
        ],
        ['PATCH', `/access-keys/${own.key}`, 'integrations:edit', { clients: [world.client] }],
      ];
      for (const [method, path, permission, body] of refusals) {
        const { status, text } = await server.adminFetch(path, { method, token: hold(permission), body });
        expect([method, path, body, status, text.includes(hidden)]).toEqual([method, path, body, 400, false]);
      }
      const token = await server.adminFetch(`/clients/${own.client}/authorization-token`, {
        method: 'POST',
        token: hold('api_key:manage'),
        body: { access_key_id: world.key },
      });
      expect(token.status).toBe(404);
      for (const filter of [
        `/clients?organization_id=${organization}`,
        `/clients?owner_contact_id=${world.contact}`,
        '/clients?kind=resource_server',
        `/contacts?organization_id=${organization}`,
        `/access-keys?organization_id=${organization}`,
        `/access-keys?contact_id=${world.contact}`,
        '/organizations?q=zzhidden',
      ]) {
        const { json } = await server.adminFetch(filter, { token: viewer });
        expect([filter, json.data]).toEqual([filter, []]);
      }
      const { json: log } = await server.adminFetch(`/audit-events?target=${world.client}`, {
        token: hold('audit:view'),
      });
      expect(log.data).toEqual([]);
    }
    const { json: ofOwn } = await server.adminFetch(`/audit-events?target=${own.client}`, {
      token: hold('audit:view'),
    });
    expect(ofOwn.data.at(-1)).toMatchObject({ action: 'client.create', organization_id: own.organization });
  });

  it('lets operators of an organization do everything that their permission allows with what is theirs', async () => {
    for (const { route, permission, reach, path } of routes()) {
      // Below /me is only what belongs to the operator itself. Requests for approval, uses of tokens for emergencies and
      // passkeys exist only after other acts: test/admin/approvals.test.ts, test/sign-in.
      const isOfItsOwn = /^\/(me|approvals)\/|\/(acknowledge|\{passkey_id\})$/.test(path);
      if (reach !== 'organization' || !path.includes('{') || isOfItsOwn) continue;
      // Routes that may delete or end something get things of their own.
      const isHarmless = route.startsWith('get') && !/\/(authorization-token|handover)$/.test(path);
      const world = isHarmless ? own : await fill(own.organization, `Own ${route}`, path);
      // Everyone manages their own operator tokens; those of others need a permission.
      const needed = path.startsWith('/operator-tokens') ? 'contacts:manage' : 'integrations:view';
      const { status, text } = await ask(route, world, hold(permission ?? needed));
      expect([route, [200, 201, 204, 400, 409, 428].includes(status), text]).toEqual([route, true, text]);
    }
    const created = await server.adminFetch('/clients', {
      method: 'POST',
      token: hold('api_key:manage'),
      body: { name: 'Mine', kind: 'integration', scope: 'orders:read' },
    });
    expect(created.json).toMatchObject({ organization_id: own.organization, scope: 'orders:read' });
  }, 600_000);

  it('does not let anybody grant a permission that they lack, or an operator of the deployment', async () => {
    const body = { name: 'X', email: 'x@example.com', permissions: ['api_key:manage'] };
    const refused = await server.adminFetch('/contacts', { method: 'POST', token: hold('contacts:manage'), body });
    expect(refused.status).toBe(403);
    const own2 = await server.adminFetch('/contacts', {
      method: 'POST',
      token: hold('contacts:manage'),
      body: { ...body, permissions: ['contacts:manage'] },
    });
    expect(own2.json.organization_id).toBe(own.organization);
  });

  it('shows no page of the console about things of others', async () => {
    const cookie = await server.signIn(await operatorOf(own.organization ?? '', permissions));
    for (const { method, path } of consolePages) {
      // It names the providers of the deployment, as the sign-in page does for everyone.
      if (method !== 'get' || path === '/welcome') continue;
      for (const world of others) {
        const page = fillIn(path.replace('/clients/:client_id', '/clients/:client_id'), world);
        const { status, text } = await server.look(`/console${page}`, cookie);
        expect([page, text.includes(hidden), status < 500]).toEqual([page, false, true]);
        if (/:(client_id|id)/.test(path)) expect([page, [403, 404].includes(status)]).toEqual([page, true]);
      }
    }
    const home = await server.look('/console/', cookie);
    expect([home.status, home.text.includes('Signing keys')]).toEqual([200, false]);
  }, 600_000);

  it('hides the rows of others from queries without any condition, and refuses to write them', async () => {
    const { database } = server.core;
    const within = <T>(work: () => Promise<T>) => withinOrganization(own.organization ?? null, work);
    const tables = await database.query<{ name: string; columns: string }>(
      `SELECT p.tablename AS name, string_agg(a.attname, ', ') AS columns
       FROM pg_policies p JOIN pg_attribute a ON a.attrelid = p.tablename::regclass
       WHERE p.policyname = 'own_organization' AND a.attnum > 0 AND NOT a.attisdropped
         AND has_column_privilege('keyturn_organization', a.attrelid, a.attnum, 'SELECT') GROUP BY 1 ORDER BY 1`,
    );
    expect(tables.length).toBeGreaterThan(15);
    for (const { name, columns } of tables) {
      const rows = await within(() => database.query(`SELECT ${columns} FROM ${name}`));
      const text = JSON.stringify(rows);
      expect([name, text.includes(hidden)]).toEqual([name, false]);
      for (const id of others.flatMap((world) => Object.values(world))) {
        if (id) expect([name, text.includes(id)]).toEqual([name, false]);
      }
    }
    expect((await within(() => database.query('SELECT * FROM clients'))).length).toBeGreaterThan(0);
    await within(() => database.query(`UPDATE clients SET name = 'taken over' WHERE name = '${hidden}'`));
    const moving = within(() => database.query(`UPDATE clients SET organization = '${others[0]?.organization}'`));
    await expect(moving).rejects.toThrow('does not belong to your organization');
    await expect(within(() => database.query('SELECT * FROM console_sessions'))).rejects.toThrow();
    const kept = await database.query(`SELECT 1 FROM clients WHERE name = '${hidden}'`);
    expect(kept).toHaveLength(2);
  });

  it('limits every table that says whose its rows are, or does not open it', async () => {
    const open = await server.core.database.query<{ name: string }>(
      `SELECT DISTINCT c.relname AS name FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
       WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
         AND a.attname IN ('organization', 'client', 'contact', 'access_key', 'owner', 'operator')
         AND has_any_column_privilege('keyturn_organization', c.oid, 'SELECT')
         AND NOT EXISTS (SELECT FROM pg_policies p WHERE p.tablename = c.relname AND p.policyname = 'own_organization')`,
    );
    expect(open).toEqual([]);
  });
});
