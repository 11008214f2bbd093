import { generateKeyPairSync } from 'node:crypto';
import { variables } from '../../src/configuration/variables.ts';
import { permissions } from '../../src/contacts/contact.ts';
import { eventually } from '../eventually.ts';
import { createTestStores } from '../harness.ts';
import { endpointsOf } from '../oauth/fixture.ts';
import { startTcpProxy } from '../tcp-proxy.ts';
import { type ConsoleServer, startConsole } from './console-server.ts';

let server: ConsoleServer;
let cookie: string;

beforeAll(async () => {
  server = await startConsole();
  cookie = await server.signIn((await server.operator()).token);
});
afterAll(() => server?.close());

const post = async (path: string, body: unknown = {}) => {
  const { status, json, text } = await server.adminFetch(path, { method: 'POST', body });
  if (status > 299) throw new Error(`${path}: ${text}`);
  return json;
};
const integration = (more: object = {}) => post('/clients', { name: 'Sync', kind: 'integration', ...more });
const clientsNamed = async (name: string) => (await server.adminFetch(`/clients?q=${name}`)).json.data as object[];

/** Returns the value of a field in a page's HTML. */
function field(text: string, name: string): string {
  return new RegExp(`name="${name}" value="([^"]*)"`).exec(text)?.[1] ?? '';
}
/** Returns the value that a page shows to be copied. */
function shown(text: string, id: string): string {
  return new RegExp(`<code id="${id}">([^<]*)</code>`).exec(text)?.[1] ?? '';
}

describe('a console form that is sent twice', () => {
  it('creates one client and shows the same secret each time', async () => {
    const review = await server.send('/console/integrations/review', { name: 'Twice', reveal: 'on' }, cookie);
    expect(review.text).toContain('Nothing has been changed yet.');
    const form = { name: 'Twice', reveal: 'on', once: field(review.text, 'once') };
    const answers = await Promise.all([1, 2, 3].map(() => server.sendAndLook('/console/integrations', form, cookie)));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    const secrets = new Set(answers.map(({ text }) => shown(text, 'client-secret')));
    expect([...secrets]).toEqual([expect.stringMatching(/^kts_\w{49}$/)]);
    expect(await clientsNamed('Twice')).toHaveLength(1);
  });

  it('has an idempotency key of its own, so that two forms create two clients', async () => {
    for (let count = 0; count < 2; count++) {
      const { text } = await server.send('/console/integrations/review', { name: 'Again', reveal: 'on' }, cookie);
      await server.send('/console/integrations', { name: 'Again', reveal: 'on', once: field(text, 'once') }, cookie);
    }
    expect(await clientsNamed('Again')).toHaveLength(2);
  });

  it.each([{}, { new_client_id: 'on' }])(
    'regenerates once and shows the same new secret each time (%o)',
    async (more) => {
      const client = await integration();
      const at = `/console/clients/${client.client_id}`;
      const { text } = await server.look(`${at}/regenerate`, cookie);
      const form = { name: 'Sync', once: field(text, 'once'), confirmation: field(text, 'confirmation'), ...more };
      const answers = [];
      for (let count = 0; count < 2; count++) answers.push(await server.sendAndLook(`${at}/regenerate`, form, cookie));
      expect(answers.map(({ status }) => status)).toEqual([200, 200]);
      const [first, second] = answers.map((answer) => shown(answer.text, 'client-secret'));
      expect(first).toMatch(/^kts_/);
      expect(second).toBe(first);
    },
  );

  it('shows the same authorization token, access key or operator token each time, which stays valid', async () => {
    const api = await post('/clients', {
      name: 'API',
      kind: 'resource_server',
      resource: 'https://api.example',
      information: ['orders'],
    });
    const client = await integration({ scope: 'orders:read' });
    const contact = await post('/contacts', {
      name: 'Bo',
      email: 'bo@example.com',
      permissions: ['integrations:view'],
    });
    const acts: [string, string, Record<string, string>][] = [
      [`/console/clients/${client.client_id}/authorization-token`, 'access-token', {}],
      [`/console/contacts/${contact.id}/access-keys/new`, 'access-key', { name: 'Key', permission: 'orders:read' }],
      [`/console/contacts/${contact.id}/operator-token`, 'operator-token', {}],
    ];
    for (const [path, id, fields] of acts) {
      const form = { ...fields, once: `once-${id}` };
      const first = await server.sendAndLook(path, form, cookie);
      const second = await server.sendAndLook(path, form, cookie);
      expect(shown(first.text, id)).toMatch(/^kt\w_\w{49}$/);
      expect(shown(second.text, id)).toBe(shown(first.text, id));
      if (id !== 'access-token') continue;
      const { introspect } = endpointsOf(server.publicUrl);
      const answer = await introspect({ id: api.client_id, secret: api.client_secret }, shown(first.text, id));
      expect(answer.json).toMatchObject({ active: true });
    }
  });
});

it('a form registers a resource server whose JWTs have typ JWT, shows that, and changes it', async () => {
  const fields = { name: 'Typed', resource: 'https://typed.example', information: 'types', reveal: 'on' };
  const form = { ...fields, token_format: 'jwt', token_typ: 'JWT' };
  const review = await server.send('/console/resource-servers/review', form, cookie);
  expect(review.text).toMatch(/JWT type<\/dt>\s*<dd>JWT</);
  await server.send('/console/resource-servers', { ...form, once: 'typed' }, cookie);
  const find = async () => (await clientsNamed('Typed'))[0] as Record<string, string>;
  const { client_id: id, ...made } = await find();
  expect(made).toMatchObject({ token_format: 'jwt', token_typ: 'JWT' });
  const at = `/console/clients/${id}`;
  expect((await server.look(at, cookie)).text).toContain('JWT (RFC 9068), typ JWT');
  const edit = await server.look(`${at}/edit`, cookie);
  expect(edit.text).toMatch(/<option (selected value="JWT"|value="JWT" selected)/);
  const revision = field(edit.text, 'revision');
  await server.send(`${at}/edit`, { ...form, token_typ: 'at+jwt', revision }, cookie);
  expect(await find()).toMatchObject({ token_typ: 'at+jwt' });
  // Opaque tokens have no type, so the form's value is not sent.
  const opaque = {
    ...form,
    token_format: 'opaque',
    revision: field((await server.look(`${at}/edit`, cookie)).text, 'revision'),
  };
  await server.send(`${at}/edit`, opaque, cookie);
  expect(await find()).toMatchObject({ token_format: 'opaque', token_typ: null });
});

describe('the form of a new client', () => {
  it('says at its fields what is wrong, before the review, and keeps what was entered', async () => {
    await post('/clients', { name: 'Taken', kind: 'resource_server', resource: 'https://taken.example' });
    const before = (await server.adminFetch('/audit-events')).json.data[0].id;
    const form = { name: '', resource: 'https://taken.example', information: 'Orders, two', token_format: 'jwt' };
    const answer = await server.send('/console/resource-servers/review', form, cookie);
    expect(answer.status).toBe(400);
    expect(answer.text).toMatch(
      /<input id="field-name"[^>]*aria-describedby="error-name hint-name"[^>]*aria-invalid="true"/,
    );
    expect(answer.text).toContain('id="error-name">Must not be empty.');
    expect(answer.text).toContain('id="error-information">Must be a lower-case word.');
    expect(answer.text).toContain('value="Orders, two"');
    const fixed = { ...form, name: 'Second', information: 'orders' };
    const taken = await server.send('/console/resource-servers/review', fixed, cookie);
    expect(taken.status).toBe(409);
    expect(taken.text).toContain('id="error-resource">Another resource server already has this identifier.');
    const right = await server.send(
      '/console/resource-servers/review',
      { ...fixed, resource: 'https://b.example' },
      cookie,
    );
    expect(right.text).toContain('Nothing has been changed yet.');
    expect(await clientsNamed('Second')).toEqual([]);
    expect((await server.adminFetch('/audit-events')).json.data[0].id).toBe(before);
  });
});

describe('an authorization token that is issued in the console', () => {
  it('gets only the selected scopes', async () => {
    const client = await integration({ scope: 'orders:read orders:create' });
    const at = `/console/clients/${client.client_id}/authorization-token`;
    const form = await server.look(at, cookie);
    expect(form.text).toContain('orders: create');
    const issued = await server.sendAndLook(at, { choosing: 'on', permission: 'orders:read', once: 'a' }, cookie);
    const { json } = await server.adminFetch(`/clients/${client.client_id}/authorization-token`);
    expect(json.scope).toBe('orders:read');
    expect(issued.text).toMatch(/59 min|60 min/);
    await server.send(at, { choosing: 'on', once: 'b' }, cookie);
    expect((await server.adminFetch(`/clients/${client.client_id}/authorization-token`)).json.scope).toBe('');
  });

  it('requires an access key if the client does, and names the error if it is missing', async () => {
    const client = await integration({ scope: 'orders:read', access_key: 'required' });
    const at = `/console/clients/${client.client_id}/authorization-token`;
    const refused = await server.send(at, { once: 'c' }, cookie);
    expect(refused).toMatchObject({ status: 400 });
    expect(refused.text).toContain('Nothing was changed.');
    const contact = await post('/contacts', { name: 'Ada', email: 'ada@example.com' });
    const key = await post(`/contacts/${contact.id}/access-keys`, { name: 'K', permissions: { orders: ['read'] } });
    expect((await server.look(at, cookie)).text).toContain('Ada: K');
    const issued = await server.sendAndLook(at, { access_key_id: key.id, once: 'd' }, cookie);
    expect(shown(issued.text, 'access-token')).toMatch(/^kta_/);
  });
});

const secretOf = ({ client_id: id, client_secret: secret }: Record<string, string>) => ({
  id: `${id}`,
  secret: `${secret}`,
});

describe('the confirmation page for disabling a client', () => {
  const api = () => endpointsOf(server.publicUrl);

  it('says that requests of the resource server will fail and that no token is revoked', async () => {
    const owner = await post('/clients', {
      name: 'Stopped API',
      kind: 'resource_server',
      resource: 'https://stopped.example',
      information: ['stops'],
    });
    const caller = secretOf(await integration({ scope: 'stops:read' }));
    const token = await api().accessToken(caller);
    for (let count = 0; count < 2; count++) await api().introspect(secretOf(owner), token);
    const at = `/console/clients/${owner.client_id}/disable`;
    const { text } = await server.look(at, cookie);
    expect(text.replace(/\s+/g, ' ')).toContain('In the last 24 hours, it made 2 requests from 1 source.');
    expect(text).toContain('No tokens are revoked, and integrations can still get tokens for this API.');
    const disabled = await server.sendAndLook(at, {}, cookie);
    expect(disabled.text).toContain('No tokens were revoked.');

    expect((await api().introspect(secretOf(owner), token)).status).toBe(401);
    const late = await api().accessToken(caller);
    await server.send(`/console/clients/${owner.client_id}/enable`, {}, cookie);
    for (const each of [token, late]) {
      expect((await api().introspect(secretOf(owner), each)).json).toMatchObject({ active: true });
    }
  });

  it('says how many live tokens of the integration will be revoked if the operator may view the number', async () => {
    const client = await integration();
    for (let count = 0; count < 3; count++) await api().accessToken(secretOf(client));
    const at = `/console/clients/${client.client_id}/disable`;
    expect((await server.look(at, cookie)).text).toContain('Its 3 active tokens are revoked immediately');
    const editor = await server.signIn(await server.operatorToken(['integrations:view', 'integrations:edit']));
    expect((await server.look(at, editor)).text).toContain('Its active tokens are revoked immediately');
  });
});

describe('the impact that the console shows before an act', () => {
  const plain = (text: string) => text.replace(/<[^>]+>/g, '').replace(/\s+/g, ' ');

  it('names the integrations that have permissions of a resource server which is disabled', async () => {
    const api = await post('/clients', {
      name: 'Called API',
      kind: 'resource_server',
      resource: 'https://called.example',
      information: ['calls'],
    });
    for (const name of ['Caller one', 'Caller two']) await integration({ name, scope: 'calls:read' });
    const { text } = await server.look(`/console/clients/${api.client_id}/disable`, cookie);
    expect(plain(text)).toContain('2 integrations have permissions of this API: Caller one, Caller two.');
  });

  it('counts tokens, sources and rejected requests for disabling, revoking tokens and deleting', async () => {
    const client = await integration({ name: 'Counted' });
    const { token } = endpointsOf(server.publicUrl);
    for (let count = 0; count < 3; count++) await token(secretOf(client));
    const at = `/console/clients/${client.client_id}`;
    const used = 'In the last 30 days, it got 3 tokens from 1 source, and';
    expect(plain((await server.look(`${at}/disable`, cookie)).text)).toContain(`${used} 0 requests were rejected.`);
    const revoke = plain((await server.look(`${at}/revoke-tokens`, cookie)).text);
    expect(revoke).toContain('3 active tokens are revoked immediately.');
    expect(revoke).toContain(used);
    await server.send(`${at}/disable`, {}, cookie);
    expect((await token(secretOf(client))).status).toBe(401);
    expect(plain((await server.look(`${at}/delete`, cookie)).text)).toContain(`${used} 1 request was rejected.`);
  });

  it('is shown before a permission of an integration that is in use is removed', async () => {
    const client = await integration({ name: 'Narrowed', scope: 'orders:read orders:create' });
    const at = `/console/clients/${client.client_id}/edit`;
    const edit = async (more: Record<string, string> = {}) => {
      const revision = field((await server.look(at, cookie)).text, 'revision');
      return await server.send(at, { name: 'Narrowed', permission: 'orders:read', revision, ...more }, cookie);
    };
    const scope = async () => (await server.adminFetch(`/clients/${client.client_id}`)).json.scope;
    await endpointsOf(server.publicUrl).accessToken(secretOf(client));
    await server.core.usage.flush();
    const asked = await edit();
    expect(asked.status).toBe(200);
    expect(plain(asked.text)).toContain('1 permission is removed: orders:create');
    expect(asked.text).toContain('name="permission" value="orders:read"');
    expect(await scope()).toBe('orders:read orders:create');
    expect((await edit({ editing: 'on' })).text).toContain('value="Narrowed"');
    expect((await edit({ confirmed: 'on' })).status).toBe(303);
    expect(await scope()).toBe('orders:read');
  });

  it('is shown before a used permission of an access key is removed', async () => {
    const api = await post('/clients', {
      name: 'Reporting API',
      kind: 'resource_server',
      resource: 'https://reports.example',
      information: ['reports'],
    });
    const client = await integration({ scope: 'reports:read reports:create' });
    const contact = await post('/contacts', { name: 'Cy', email: 'cy@example.com' });
    const permissions = { reports: ['create', 'read'] };
    const key = await post(`/contacts/${contact.id}/access-keys`, { name: 'Used', permissions });
    const { token, introspect } = endpointsOf(server.publicUrl);
    const issued = await token(secretOf(client), { access_key: key.access_key, scope: 'reports:create' });
    await introspect(secretOf(api), issued.json['access_token'] as string, { used_scope: 'reports:create' });
    await eventually(async () => (await server.adminFetch(`/access-keys/${key.id}`)).json.usage.used_scope.length > 0);
    const at = `/console/access-keys/${key.id}`;
    const form = { name: 'Used', permission: 'reports:read' };
    const asked = await server.send(at, form, cookie);
    expect(plain(asked.text)).toContain('1 permission that was used in the last 30 days is removed: reports:create');
    expect(plain(asked.text)).toContain('1 token was issued with the key to 1 source.');
    expect((await server.adminFetch(`/access-keys/${key.id}`)).json.permissions).toEqual(permissions);
    expect((await server.send(at, { ...form, confirmed: 'on' }, cookie)).status).toBe(303);
    expect((await server.adminFetch(`/access-keys/${key.id}`)).json.permissions).toEqual({ reports: ['read'] });
  });
});

describe('a client without a secret in the console', () => {
  const name = 'Signs by itself';
  const jwks = (kid: string) => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    return JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid, alg: 'ES256' }] });
  };

  it('is created with keys or a certificate subject, which stay the same when it is edited', async () => {
    const form = { name, auth_method: 'private_key_jwt', proof: jwks('first') };
    const review = await server.send('/console/integrations/review', form, cookie);
    expect(review.text).toContain('No secret is created');
    const made = await server.sendAndLook(
      '/console/integrations',
      { ...form, once: field(review.text, 'once') },
      cookie,
    );
    const id = shown(made.text, 'client-id');
    const read = async () => (await server.adminFetch(`/clients/${id}`)).json;
    expect(await read()).toMatchObject({ auth_method: 'private_key_jwt', jwks: { keys: [{ kid: 'first' }] } });

    const edit = `/console/clients/${id}/edit`;
    const { text } = await server.look(edit, cookie);
    await server.send(edit, { name: 'Renamed', revision: field(text, 'revision') }, cookie);
    expect(await read()).toMatchObject({ name: 'Renamed', jwks: { keys: [{ kid: 'first' }] } });
    const certificate = { name, auth_method: 'tls_client_auth', proof: 'CN=sync,O=Example,C=DE' };
    const { text: shownClient } = await server.sendAndLook('/console/integrations', certificate, cookie);
    expect((await server.look(`/console/clients/${shown(shownClient, 'client-id')}`, cookie)).text).toContain(
      'CN=sync',
    );
  });

  it.each(['{"keys":', '{"keys":[]}', 'http://127.0.0.1/keys', '{"keys":[],"keys":[]}'])(
    'rejects the keys %s and keeps the form fields',
    async (proof) => {
      const form = { name: 'Wrong keys', auth_method: 'private_key_jwt', proof };
      const answer = await server.send('/console/integrations', form, cookie);
      expect(answer.status).toBe(400);
      expect(answer.text).toContain('Nothing was changed.');
      expect(answer.text).toContain('value="Wrong keys"');
      expect(await clientsNamed('Wrong')).toEqual([]);
    },
  );
});

describe('the links and buttons of the console', () => {
  const sets = Array.from({ length: 2 ** permissions.length }, (_, bits) =>
    permissions.filter((__, index) => bits & (1 << index)),
  );

  beforeAll(async () => {
    const client = await integration({ scope: 'orders:read' });
    const { confirmation } = await post(`/clients/${client.client_id}/regeneration/review`);
    await post(`/clients/${client.client_id}/regenerate`, { confirmation });
    const contact = await post('/contacts', { name: 'Eve', email: 'eve@example.com' });
    await post(`/contacts/${contact.id}/access-keys`, { name: 'Key', permissions: { orders: ['read'] } });
  });

  it.each(sets.map((set) => [set.join(' ') || 'nothing', set] as const))(
    'lead only to permitted pages and actions for an operator with %s',
    async (_, set) => {
      const { id, token } = await server.operator([...set]);
      const as = await server.signIn(token);
      const offered = await crawl(as, id);
      const refused = offered.filter(({ status }) => status === 403 || status === 404);
      expect(refused).toEqual([]);
      expect(offered.length).toBeGreaterThan(set.includes('integrations:view') ? 10 : 0);
    },
  );

  /**
   * Requests every page that links can reach, once per kind of page. Forms are sent without fields, to find out whether
   * they are permitted.
   */
  async function crawl(as: string, own: string): Promise<{ path: string; status: number }[]> {
    const seen = new Map<string, number>();
    const queue = ['/console/'];
    for (let path = queue.shift(); path; path = queue.shift()) {
      const kind = kindOf(path);
      if (seen.has(kind) || path.startsWith('/console/sign-')) continue;
      const answer = await server.look(path, as);
      seen.set(kind, answer.status);
      if (answer.location) queue.push(answer.location);
      const links = [...answer.text.matchAll(/<a [^>]*href="(\/console\/[^"#]*)/g)];
      queue.push(...links.map(([, link = '']) => link.replaceAll('&amp;', '&')));
      for (const [, action = ''] of answer.text.matchAll(/<form [^>]*method="post" action="([^"]*)"/g)) {
        if (seen.has(`POST ${kindOf(action)}`) || action.startsWith('/console/sign-') || action.includes(own)) continue;
        // This content type is rejected after the permission check and before any change.
        const tried = await server.send(action, {}, as, { origin: server.adminUrl, 'content-type': 'text/plain' });
        seen.set(`POST ${kindOf(action)}`, tried.status);
      }
    }
    return [...seen].map(([path, status]) => ({ path, status }));
  }

  function kindOf(path: string): string {
    return path
      .replace(/kti_\w+/g, ':client')
      .replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, ':id')
      .replace(/=[^&]*/g, '=');
  }
});

it('shows every configuration variable and no secret on the page of the system', async () => {
  const { text } = await server.look('/console/system', cookie);
  for (const name of variables) {
    if (!name.endsWith('_FILE')) expect(text).toContain(`<code>${name}</code>`);
  }
  for (const secret of [server.core.config.rootKey, new URL(server.core.config.databaseUrl ?? 'x:').password]) {
    if (secret) expect(text).not.toContain(secret);
  }
});

it('responds 503 while the database is unavailable, keeps sessions, and applies a repeated form once', async () => {
  const stores = await createTestStores();
  const proxy = await startTcpProxy(stores.databaseUrl);
  const away = await startConsole({ stores: { ...stores, databaseUrl: proxy.url } });
  try {
    const session = await away.signIn((await away.operator()).token);
    const form = { name: 'Later', reveal: 'on', once: 'one-form' };
    proxy.cut();
    const looked = await away.look('/console/integrations', session);
    expect(looked).toMatchObject({ status: 503 });
    expect(looked.text).toContain('Nothing was changed.');
    expect(looked.headers.get('retry-after')).toBe('1');
    const sent = await away.send('/console/integrations', form, session);
    expect(sent).toMatchObject({ status: 503 });
    expect(sent.text).toContain('Sending the same form again makes the change only once.');
    proxy.restore();
    await eventually(async () => (await away.look('/console/integrations', session)).status === 200);
    for (let count = 0; count < 2; count++) {
      expect(await away.sendAndLook('/console/integrations', form, session)).toMatchObject({ status: 200 });
    }
    expect((await away.adminFetch('/clients?q=Later')).json.data).toHaveLength(1);
  } finally {
    proxy.restore();
    await away.close();
    await proxy.close();
  }
});

it('explains a client by a link, and a secret only from the form, without showing it', async () => {
  const { client_id: id, client_secret: secret } = await post('/clients', { name: 'Explained', kind: 'integration' });
  expect((await server.look(`/console/explain?id=${id}`, cookie)).text).toContain('is accepted with the Client ID');
  const inUrl = await server.look(`/console/explain?id=${secret}`, cookie);
  expect(inUrl.text).not.toContain('is accepted');
  const { status, text } = await server.send('/console/explain', { value: secret }, cookie);
  expect(status).toBe(200);
  expect(text).toContain(`The secret …${secret.slice(-4)} of “Explained” is accepted`);
  expect(text).not.toContain(secret);
});
