import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { runCommand } from '../cli/run-command.ts';
import { type ConsoleServer, startConsole } from '../console/console-server.ts';

let server: ConsoleServer;
let cookie: string;
let clientId: string;
let contactId: string;

beforeAll(async () => {
  server = await startConsole();
  cookie = await server.signIn(await server.operatorToken());
  const post = (path: string, body: unknown) => server.adminFetch(path, { method: 'POST', body });
  clientId = (await post('/clients', { name: 'a', kind: 'integration' })).json.client_id;
  contactId = (await post('/contacts', { name: 'a', email: 'a@example.com' })).json.id;
  await post('/clients', { name: 'api', kind: 'resource_server', resource: 'https://api.example', information: ['a'] });
});
afterAll(() => server.close());

const publicKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' });
/** Texts that cannot be stored: PostgreSQL rejects NUL, and UTF-8 cannot encode half of a surrogate pair. */
const unstorable = ['a\0b', 'a\ud800b'];

/** Operations that store nothing and answer with findings about any text. */
const storesNothing = ['/explain/token-request', '/trusts/test'];

type Operation = { parameters?: { in: string; name: string }[]; requestBody?: unknown };
type Document = { paths: Record<string, Record<string, Operation>>; components: { schemas: Record<string, never> } };

test('rejects text that PostgreSQL cannot store in every field of every operation', async () => {
  const document = (await server.adminFetch('/openapi.json')).json as Document;
  const asked: [string, string][] = [];
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const at = path
        .replace('/admin/v1', '')
        .replace('{client_id}', clientId)
        .replace('{name}', 'owner_required')
        .replace('/contacts/{id}', `/contacts/${contactId}`)
        .replace(/\{\w+\}/g, crypto.randomUUID());
      for (const { name } of operation.parameters?.filter((each) => each.in === 'query') ?? []) {
        const answer = await server.adminFetch(`${at}?${name}=a%00b`, { method: method.toUpperCase() });
        expect([method, at, name, answer.status]).toEqual([method, at, name, 400]);
        asked.push([at, name]);
      }
      const schema = (operation.requestBody as { content: Record<string, { schema: { properties: object } }> })
        ?.content['application/json']?.schema;
      for (const name of Object.keys(schema?.properties ?? {})) {
        for (const text of unstorable) {
          const { status } = await server.adminFetch(at, { method: method.toUpperCase(), body: { [name]: text } });
          const isAnswered = status === 400 || (storesNothing.includes(at) && status === 200);
          expect([method, at, name, isAnswered || status]).toEqual([method, at, name, true]);
          asked.push([at, name]);
        }
      }
    }
  }
  expect(asked.length).toBeGreaterThan(100);
});

test.each([
  [
    'a member of a key',
    (text: string) => ({ auth_method: 'private_key_jwt', jwks: { keys: [{ ...publicKey(), text }] } }),
  ],
  [
    'the name of a member',
    (text: string) => ({ auth_method: 'private_key_jwt', jwks: { keys: [{ ...publicKey(), [text]: 1 }] } }),
  ],
  ['kid', (kid: string) => ({ auth_method: 'private_key_jwt', jwks: { keys: [{ ...publicKey(), kid }] } })],
  ['jwks_uri', (text: string) => ({ auth_method: 'private_key_jwt', jwks_uri: `https://keys.example/${text}` })],
  ['a subject', (text: string) => ({ auth_method: 'tls_client_auth', tls_client_auth_subject_dn: `CN=${text}` })],
  [
    'a URI',
    (text: string) => ({ auth_method: 'tls_client_auth', tls_client_auth_san_uri: `https://a.example/${text}` }),
  ],
  [
    'an e-mail address',
    (text: string) => ({ auth_method: 'tls_client_auth', tls_client_auth_san_email: `${text}@a.example` }),
  ],
])('rejects a client with text that PostgreSQL cannot store in %s', async (_, fields) => {
  for (const text of unstorable) {
    const body = { name: 'a', kind: 'integration', ...fields(text) };
    const { status, json } = await server.adminFetch('/clients', { method: 'POST', body });
    expect([status, json.code]).toEqual([400, 'invalid_request']);
  }
});

test.each([
  'https://keys.example/ a',
  ' https://keys.example/a',
  'https://keys.example/\ta',
  'https://keys.exämple/a',
  'https://keys.example/a\u200b',
])('rejects the jwks_uri %j, which the URL parser would change', async (uri) => {
  const body = { name: 'a', kind: 'integration', auth_method: 'private_key_jwt', jwks_uri: uri };
  expect((await server.adminFetch('/clients', { method: 'POST', body })).status).toBe(400);
});

test('rejects a public key that is nested more than 32 levels deep', async () => {
  const deep = JSON.parse(`${'['.repeat(29)}${']'.repeat(29)}`);
  const body = {
    name: 'a',
    kind: 'integration',
    auth_method: 'private_key_jwt',
    jwks: { keys: [{ ...publicKey(), deep }] },
  };
  expect((await server.adminFetch('/clients', { method: 'POST', body })).status).toBe(400);
});

test('finds a leaked secret in text that PostgreSQL cannot store', async () => {
  const { json: client } = await server.adminFetch('/clients', {
    method: 'POST',
    body: { name: 'a', kind: 'integration' },
  });
  const values = unstorable.map((text) => `${text} ${client.client_secret}`);
  const { json } = await server.adminFetch('/leaks', { method: 'POST', body: { values } });
  expect(json.data).toHaveLength(2);
});

const deceptive = [
  'a\u202eb',
  'a\u2066b\u2069',
  'a\u2028b',
  'a\u200bb',
  'a\u200db',
  'a\u00adb',
  'a\ufeffb',
  'a\u3164',
  '\u2800',
  'a\0b',
  'a\ud800b',
  'a\u{e0041}',
  'a\u2060b',
];

test.each(deceptive)('rejects the name %j in the API and in the console', async (name) => {
  for (const [path, body] of [
    ['/clients', { kind: 'integration' }],
    ['/contacts', { email: 'a@example.com' }],
    [`/contacts/${contactId}/access-keys`, { permissions: { a: ['read'] } }],
  ] as const) {
    const answer = await server.adminFetch(path, { method: 'POST', body: { ...body, name } });
    expect([path, answer.status, answer.json.issues[0].path]).toEqual([path, 400, 'name']);
  }
  const external = { name: 'a', email: 'a@example.com', external_id: name };
  expect((await server.adminFetch('/contacts', { method: 'POST', body: external })).status).toBe(400);
  // A form cannot send half of a surrogate pair; it arrives as U+FFFD.
  if (!name.isWellFormed()) return;
  for (const [path, form] of [
    [`/console/clients/${clientId}/edit`, {}],
    ['/console/contacts/new', { email: 'a@example.com' }],
  ] as const) {
    const answer = await server.send(path, { name, ...form }, cookie);
    expect([path, answer.status]).toEqual([path, 400]);
  }
});

test('rejects deceptive names in an import and on the command line', async () => {
  const environment = { DATABASE_URL: server.stores.databaseUrl, KEYTURN_ROOT_KEY: server.stores.rootKey };
  const rows = deceptive.map((name, index) => ({
    client_id: `imported-${index}`,
    client_secret: `x${randomBytes(24).toString('base64url')}`,
    client_name: name,
    grant_types: ['client_credentials'],
  }));
  const imported = await runCommand(['clients', 'import', '-', '--json'], environment, JSON.stringify(rows));
  expect(JSON.parse(imported.stdout)).toMatchObject({ imported: 0, refused: rows.map(() => ({})) });
  const created = await runCommand(['clients', 'create', '--name', 'a\u202eb'], environment);
  expect(created.code).toBe(2);
  expect(created.stderr).toMatch(/^error: --name: must not contain invisible characters/);
});

test.each([
  'Acme',
  'Käse & Söhne',
  '株式会社',
  'می\u200cخواهم',
  'क्\u200dष',
  '👩\u200d💻 team',
  '❤\ufe0f',
  '1\ufe0f\u20e3',
  'O’Neill “x”',
])('accepts the name %j', async (name) => {
  const { status, json } = await server.adminFetch('/contacts', {
    method: 'POST',
    body: { name, email: 'a@example.com' },
  });
  expect([status, json.name]).toEqual([201, name]);
});
