import { randomBytes } from 'node:crypto';
import { hash as bcrypt } from 'bcrypt';
import { generateSecret } from '../../src/credentials/credential-format.ts';
import { eventuallyIs } from '../eventually.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { endpointsOf, watchQueries } from '../oauth/fixture.ts';
import { type Environment, runCommand, runJson } from './run-command.ts';

type Report = {
  imported: number;
  acceptable: number;
  refused: { place: string; client_id: string; reasons: string[] }[];
  skipped: { client_id: string }[];
  secrets: { client_id: string; client_secret: string }[];
};

let server: TestServer;
let api: ReturnType<typeof endpointsOf>;
let environment: Environment;

/** Returns a secret that does not begin like one that Keyturn generates. */
const secretOf = () => `x${randomBytes(24).toString('base64url')}`;
const run = (args: string[], input = '') => runCommand(['clients', ...args], environment, input);

/** Returns the report of an import, also if it exits with 1. */
async function importJson(input: string | object, ...options: string[]): Promise<Report & { code: number | null }> {
  const text = typeof input === 'string' ? input : JSON.stringify(input);
  const { code, stdout, stderr } = await run(['import', '-', '--json', ...options], text);
  if (!stdout) throw new Error(`${code}: ${stderr}`);
  return { code, ...(JSON.parse(stdout) as Report) };
}

beforeAll(async () => {
  server = await startTestServer();
  api = endpointsOf(server.publicUrl);
  environment = { DATABASE_URL: server.stores.databaseUrl, KEYTURN_ROOT_KEY: server.stores.rootKey };
  const offer = ['--resource', 'https://api.example.com', '--information', 'orders,products'];
  await runJson(['clients', 'create', '--name', 'Shop', '--kind', 'resource-server', ...offer], environment);
});
afterAll(() => server.close());

describe('before the first import', () => {
  test('a malformed Client ID is rejected without a database query', async () => {
    await api.token({ id: 'order-sync', secret: secretOf() });
    const queries = watchQueries(server.core);
    for (const id of ['order-sync', 'constructor', 'b7c9f1c0-9a1e-4c3e-8f3f-2d1f6f0a7d11']) {
      expect((await api.token({ id, secret: secretOf() })).status).toBe(401);
      expect((await api.token({ id, secret: generateSecret('kts_') })).status).toBe(401);
    }
    queries.stop();
    expect(queries.clientLookups()).toEqual([]);
  });
});

test('an imported partner keeps its credentials, can rotate them later, and the audit log records both', async () => {
  const partner = { id: 'order-sync@partner', secret: secretOf() };
  const before = await api.token(partner);
  expect(before.status).toBe(401);
  const csv = `client_id,client_secret,name,scope\n${partner.id},${partner.secret},Order sync,orders:read orders:create\n`;
  const imported = await run(['import', '-'], csv);
  expect(imported).toMatchObject({ code: 0, stdout: '', stderr: '1 imported, 0 rejected.\n' });

  // A running server detects the import without a restart.
  const first = await eventuallyIs(
    () => api.token(partner),
    ({ status }) => status === 200,
  );
  expect(first.json).toMatchObject({ scope: 'orders:read orders:create' });
  const wrong = await api.token({ ...partner, secret: `${partner.secret}x` });
  expect(wrong.text).toBe(before.text);

  const turned = await run(['regenerate', partner.id, '--yes']);
  const fresh = { id: partner.id, secret: turned.stdout.trim() };
  expect(fresh.secret).toMatch(/^kts_\w{49}$/);
  await eventuallyIs(
    () => api.token(fresh),
    ({ status }) => status === 200,
  );
  const retiring = await api.token(partner);
  expect(retiring.status).toBe(200);
  expect(retiring.headers).toMatchObject({ deprecation: expect.any(String), sunset: expect.any(String) });

  expect((await run(['finish', partner.id, '--yes'])).code).toBe(0);
  await eventuallyIs(
    () => api.token(partner),
    ({ status }) => status === 401,
  );
  expect((await api.token(fresh)).status).toBe(200);

  const renamed = await run(['regenerate', partner.id, '--new-client-id', '--yes', '--json']);
  const pair = JSON.parse(renamed.stdout) as { client_id: string; client_secret: string };
  expect(pair.client_id).toMatch(/^kti_/);
  const asOurs = { id: pair.client_id, secret: pair.client_secret };
  await eventuallyIs(
    () => api.token(asOurs),
    ({ status }) => status === 200,
  );

  type Events = { data: { action: string; after: object }[] };
  const { data } = await runJson<Events>(['audit', 'list', '--target', partner.id], environment);
  expect(data.map(({ action }) => action)).toEqual(
    expect.arrayContaining(['client.import', 'client.regenerate', 'client.finish_regeneration']),
  );
  expect(data.find(({ action }) => action === 'client.import')?.after).toMatchObject({ secret: 'kept' });
  expect(JSON.stringify(data)).not.toContain(partner.secret);
});

describe('an import refuses clients that cannot be kept, with names and reasons', () => {
  const good = secretOf();
  const rows = [
    { client_id: 'short', client_secret: 'x7Qz9a', says: '16 to 256 characters' },
    { client_id: 'word', client_secret: 'password-password-1', says: 'too easy to guess' },
    { client_id: 'run-of-digits', client_secret: '12345678901234567890', says: 'too easy to guess' },
    { client_id: 'repeat', client_secret: 'x7Qz9ax7Qz9ax7Qz9ax7Qz9ax7Qz9a', says: 'too easy to guess' },
    { client_id: 'billing-service', client_secret: 'billing-service-secret-2024', says: 'too easy to guess' },
    { client_id: 'spaced', client_secret: `${good.slice(0, 16)} ${good.slice(16)}`, says: 'without spaces' },
    { client_id: 'crypt', client_secret: `$6$rounds=5000$salt$${good}`, says: 'a hash in a format that' },
    { client_id: 'bcrypt', client_secret_hash: `$2a$31$${'a'.repeat(53)}`, says: 'a cost that is not accepted' },
    { client_id: 'both', client_secret: secretOf(), client_secret_hash: `$2a$04$${'a'.repeat(53)}`, says: 'has both' },
    { client_id: 'sha256', client_secret_hash: 'a'.repeat(64), says: 'has an unknown format' },
    { client_id: 'pbkdf2', client_secret: `$pbkdf2-sha256$i=25000,l=32$${good}`, says: 'a hash in a format that' },
    { client_id: 'masked', client_secret: '**********', says: 'masked' },
    { client_id: 'like-ours', client_secret: `kts_${good}`, says: 'begins with a prefix that Keyturn uses' },
    { client_id: 'none', says: 'it has no secret' },
    { client_id: 'scoped', client_secret: secretOf(), scope: 'ships:sail', says: 'no resource server offers' },
    { client_id: 'a b', client_secret: secretOf(), says: 'Client ID must consist of' },
    { client_id: 'kti_short', client_secret: secretOf(), says: 'Client ID must consist of' },
    {
      client_id: `kti_${'a'.repeat(22)}`,
      client_secret: secretOf(),
      says: 'a Client ID in the format of Keyturn needs a secret',
    },
    { client_id: 'twice', client_secret: good, says: undefined },
    { client_id: 'twice', client_secret: secretOf(), says: 'the same Client ID as client 19' },
    { client_id: 'copied', client_secret: good, says: 'the same secret as client 19' },
    {
      client_id: 'tls',
      token_endpoint_auth_method: 'client_secret_jwt',
      says: 'cannot authenticate with client_secret_jwt',
    },
    { client_id: 'keys', token_endpoint_auth_method: 'private_key_jwt', says: 'jwks' },
  ];
  const clients = rows.map(({ says: _says, ...client }) => client);

  test('reports all of them and imports nothing', async () => {
    const report = await importJson(clients);
    expect(report).toMatchObject({ code: 1, imported: 0, acceptable: 1 });
    const told = new Map(report.refused.map(({ place, reasons }) => [place, reasons.join('; ')]));
    for (const [index, { says }] of rows.entries()) {
      if (says) expect(told.get(`client ${index + 1}`)).toContain(says);
      else expect(told.has(`client ${index + 1}`)).toBe(false);
    }
    expect((await run(['show', 'twice'])).code).toBe(1);
    expect(JSON.stringify(report)).not.toContain(good);
  });

  test('--check changes nothing, --skip-refused imports the others, and existing clients are refused', async () => {
    const one = [
      { client_id: 'checked', client_secret: secretOf() },
      { client_id: 'weak', client_secret: 'aaaa' },
    ];
    expect(await importJson(one, '--check')).toMatchObject({ code: 1, imported: 0, acceptable: 1 });
    expect((await run(['show', 'checked'])).code).toBe(1);
    expect(await importJson(one, '--skip-refused')).toMatchObject({ code: 0, imported: 1 });
    const again = await importJson([one[0] as object, { client_id: 'other', client_secret: one[0]?.client_secret }]);
    expect(again.refused.map(({ reasons }) => reasons)).toEqual([
      ['the Client ID is already registered', 'the secret is already used by another client'],
      ['the secret is already used by another client'],
    ]);
  });
});

test('an import keeps secrets in the formats of other servers', async () => {
  const alnum = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
  const random = (length: number) => Array.from(randomBytes(length), (byte) => alnum[byte % alnum.length]).join('');
  for (let round = 0; round < 3; round++) {
    const made = Array.from({ length: 200 }, (_, index) => [
      { client_id: `keycloak-${index}`, client_secret: random(32) },
      { client_id: `hydra-${index}`, client_secret: random(26) },
      { client_id: `auth0-${index}`, client_secret: randomBytes(48).toString('base64url') },
      { client_id: `uuid-${index}`, client_secret: crypto.randomUUID() },
      { client_id: `hex-${index}`, client_secret: randomBytes(16).toString('hex') },
    ]).flat();
    expect(await importJson(made, '--check')).toMatchObject({ refused: [], acceptable: 1_000 });
  }
});

test('an import from Hydra replaces hashed secrets and prints them once, maps scopes and skips other grants', async () => {
  const hydra = {
    next_page_token: '',
    items: [
      {
        client_id: 'b7c9f1c0-9a1e-4c3e-8f3f-2d1f6f0a7d11',
        client_name: 'Warehouse',
        client_secret: `$pbkdf2-sha256$i=25000,l=32$${secretOf()}`,
        grant_types: ['client_credentials'],
        scope: 'orders.read offline openid ships.sail',
        audience: [],
        token_endpoint_auth_method: 'client_secret_post',
        metadata: {},
      },
      { client_id: 'web-app', grant_types: ['authorization_code'], redirect_uris: ['https://app.example.com'] },
    ],
  };
  const options = ['--fresh-secrets', '--map-scope', 'orders.read=orders:read', '--drop-unknown-scopes'];
  const { code, stdout, stderr } = await run(['import', '-', ...options], JSON.stringify(hydra));
  expect(code).toBe(0);
  expect(stderr).toContain('1 skipped');
  const [heading, line = ''] = stdout.trim().split('\n');
  expect(heading).toBe('client_id,client_secret');
  const [id = '', secret = ''] = line.split(',');
  expect(secret).toMatch(/^kts_/);
  const token = await eventuallyIs(
    () => api.token({ id, secret }),
    ({ status }) => status === 200,
  );
  expect(token.json).toMatchObject({ scope: 'orders:read' });
});

test('an import from Keycloak adopts service accounts with their secrets and keeps disabled ones disabled', async () => {
  const secret = secretOf();
  const realm = {
    realm: 'shop',
    clients: [
      { clientId: 'account-console', publicClient: true },
      {
        clientId: 'stock',
        name: 'Stock',
        enabled: true,
        secret,
        serviceAccountsEnabled: true,
        clientAuthenticatorType: 'client-secret',
        defaultClientScopes: ['service_account', 'profile', 'roles', 'products:read'],
        optionalClientScopes: ['offline_access'],
      },
      { clientId: 'stock-old', enabled: false, secret: secretOf(), serviceAccountsEnabled: true },
    ],
  };
  expect(await importJson(realm)).toMatchObject({ code: 0, imported: 2, skipped: [{ client_id: 'account-console' }] });
  const token = await eventuallyIs(
    () => api.token({ id: 'stock', secret }),
    ({ status }) => status === 200,
  );
  expect(token.json).toMatchObject({ scope: 'products:read' });
  expect(await runJson(['clients', 'show', 'stock-old'], environment)).toMatchObject({ status: 'disabled' });
});

test('the import of an unsupported file exits with 2 and names the position', async () => {
  const files = [
    { input: 'client_id,secret\na,b\n', says: 'unknown column "secret"' },
    { input: '{"clients": [', says: 'The JSON cannot be read' },
  ];
  for (const { input, says } of files) {
    const ended = await run(['import', '-'], input);
    expect(ended).toEqual({ code: 2, stdout: '', stderr: expect.stringContaining(says) });
  }
  expect(await run(['import', '/nowhere.csv'])).toMatchObject({ code: 2, stderr: expect.stringContaining('ENOENT') });
});

test('an import registers 10,000 clients, each with an audit event in a valid chain', async () => {
  const lines = Array.from({ length: 10_000 }, (_, index) => `bulk-${index},${secretOf()},Bulk ${index},orders:read`);
  const { code, stderr } = await run(['import', '-'], `client_id,client_secret,name,scope\n${lines.join('\n')}\n`);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '10000 imported, 0 rejected.\n' });
  const [id = '', secret = ''] = (lines[9_999] ?? '').split(',');
  await eventuallyIs(
    () => api.token({ id, secret }),
    ({ status }) => status === 200,
  );
  const verified = await runJson<{ events: number; finding: unknown }>(['audit', 'verify'], environment);
  expect(verified.finding ?? undefined).toBeUndefined();
  expect(verified.events).toBeGreaterThan(10_000);
});

test('an export contains every integration, no secret and no spreadsheet formula, and can be imported', async () => {
  await runJson(['clients', 'create', '--name', '=HYPERLINK("https://evil.example")'], environment);
  const [json, csv] = await Promise.all([run(['export']), run(['export', '--format', 'csv'])]);
  const exported = JSON.parse(json.stdout) as { client_id: string }[];
  expect(exported.length).toBeGreaterThan(10_000);
  expect(exported.find(({ client_id: id }) => id === 'bulk-1')).toEqual({
    client_id: 'bulk-1',
    client_name: 'Bulk 1',
    enabled: true,
    scope: 'orders:read',
    grant_types: ['client_credentials'],
    token_endpoint_auth_method: 'client_secret_basic',
  });
  expect(csv.stdout.split('\n')[0]).toBe('client_id,name,scope,enabled,token_endpoint_auth_method');
  expect(csv.stdout).toContain(`"'=HYPERLINK(""https://evil.example"")"`);
  expect(json.stdout + csv.stdout).not.toMatch(/kts_|secret"/);
  const back = await importJson(json.stdout, '--check', '--fresh-secrets');
  expect(back.refused[0]?.reasons).toEqual(['the Client ID is already registered']);
});

test('an import keeps hashed secrets and says how many; lists show them, and an export contains them until their first use', async () => {
  const secret = secretOf();
  const hash = await bcrypt(secret, 4);
  const csv = `client_id,client_secret_hash,scope\nhashed-in-csv,${hash},orders:read\n`;
  const imported = await importJson(csv);
  expect(imported).toMatchObject({ code: 0, imported: 1, awaiting_first_use: 1, secrets: [] });

  type Shown = { client_id: string; secrets: { hint: string; awaits_first_use: boolean }[] };
  const listed = await runJson<{ data: Shown[] }>(['clients', 'list', '--awaits-first-use'], environment);
  expect(listed.data).toMatchObject([{ client_id: 'hashed-in-csv', secrets: [{ hint: '…', awaits_first_use: true }] }]);
  expect((await run(['list', '--awaits-first-use'])).stdout).toContain('hashed');
  expect(JSON.stringify(listed)).not.toContain(hash.slice(7));
  const exported = async () =>
    (JSON.parse((await run(['export'])).stdout) as { client_id: string; client_secret_hash?: string }[]).find(
      ({ client_id: id }) => id === 'hashed-in-csv',
    );
  expect((await run(['export', '--format', 'csv'])).stdout).toContain(`hashed-in-csv,${hash}`);
  const row = await exported();
  expect(row).toMatchObject({ client_secret_hash: hash });
  // The same file once more changes nothing, and is accepted as already imported.
  expect(await importJson([row ?? {}], '--resume')).toMatchObject({ code: 0, imported: 0, present: [{}] });

  await eventuallyIs(
    () => api.token({ id: 'hashed-in-csv', secret }),
    ({ status }) => status === 200,
  );
  expect((await runJson<{ data: Shown[] }>(['clients', 'list', '--awaits-first-use'], environment)).data).toEqual([]);
  expect(await exported()).not.toHaveProperty('client_secret_hash');
  const shown = await runJson<Shown>(['clients', 'show', 'hashed-in-csv'], environment);
  expect(shown.secrets).toMatchObject([{ hint: `…${secret.slice(-4)}`, awaits_first_use: false }]);
});
