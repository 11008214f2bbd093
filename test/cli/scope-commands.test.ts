import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startTestServer, type TestServer } from '../harness.ts';
import { endpointsOf } from '../oauth/fixture.ts';
import { type Environment, runCommand, runJson } from './run-command.ts';

let server: TestServer;
let environment: Environment;
const folder = mkdtempSync(join(tmpdir(), 'scopes-'));

beforeAll(async () => {
  server = await startTestServer();
  environment = { DATABASE_URL: server.stores.databaseUrl, KEYTURN_ROOT_KEY: server.stores.rootKey };
});
afterAll(() => server.close());

const run = (args: string[], input = '') => runCommand(args, environment, input);
type Shown = { client_id: string; scopes: { name: string; description: string }[] };

/** Registers a resource server. @returns its Client ID. */
async function createApi(name: string, ...options: string[]): Promise<string> {
  const offer = ['--kind', 'resource-server', '--resource', `https://${name}.example`, '--name', name, ...options];
  return (await runJson<Shown>(['clients', 'create', ...offer], environment)).client_id;
}

const show = (id: string) => runJson<Shown>(['clients', 'show', id], environment);

function file(content: unknown): string {
  const path = join(folder, `${Math.random()}.json`);
  writeFileSync(path, JSON.stringify(content));
  return path;
}

test('clients create and update declare the named scopes of a file', async () => {
  const scopes = [
    { name: 'orders.read', aliases: ['read:orders'], description: 'Read', information: 'orders', action: 'read' },
    { name: 'reports:export', description: 'Export', sensitive: true },
  ];
  const id = await createApi('files', '--information', 'orders', '--scopes-file', file(scopes));
  expect((await show(id)).scopes).toMatchObject(scopes);
  const shown = await run(['clients', 'show', id]);
  expect(shown.stdout).toMatch(/scopes +orders\.read \(means orders:read; also read:orders\), reports:export\n/);
  await runJson(['clients', 'update', id, '--scopes-file', file(scopes.slice(1))], environment);
  expect((await show(id)).scopes).toMatchObject(scopes.slice(1));
  const wrong = await run(['clients', 'update', id, '--scopes-file', file([{ name: 'a b', description: 'x' }])]);
  expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('error: --scopes-file: must have 1 to 128') });
});

test('clients update shows who used a name before it removes the name', async () => {
  const scopes = [{ name: 'wind.read', aliases: ['read:wind'], description: 'Read' }];
  const id = await createApi('wind', '--scopes-file', file(scopes));
  const client = await runJson<{ client_id: string; client_secret: string }>(
    ['clients', 'create', '--name', 'Sailor', '--scope', 'wind.read'],
    environment,
  );
  const credentials = { id: client.client_id, secret: client.client_secret };
  await endpointsOf(server.publicUrl).accessToken(credentials, { scope: 'read:wind' });
  await server.core.grantedScopes.flush();
  const update = ['clients', 'update', id, '--scopes-file', file([{ name: 'wind.read', description: 'Read' }])];
  const asked = await run(update);
  expect(asked.code).toBe(2);
  expect(asked.stderr).toMatch(new RegExp(`read:wind +${client.client_id} +Sailor +\\d{4}-`));
  expect((await show(id)).scopes).toMatchObject(scopes);
  expect(asked.stderr).toContain('read:wind is removed. Token requests with it are rejected. wind.read stays.');
  const used = await run(['clients', 'scope-usage', id]);
  expect(used.stdout).toMatch(new RegExp(`read:wind +${client.client_id} +Sailor +\\d{4}-`));
  expect((await run([...update, '--yes'])).code).toBe(0);
  expect((await show(id)).scopes).toMatchObject([{ name: 'wind.read', aliases: [] }]);
});

test('clients update renames a scope for those who have it after a confirmation, and shows deprecated names', async () => {
  const id = await createApi('rain', '--scopes-file', file([{ name: 'rain.read', description: 'Read' }]));
  const client = await runJson<{ client_id: string; scope: string }>(
    ['clients', 'create', '--name', 'Gauge', '--scope', 'rain.read'],
    environment,
  );
  const renamed = { name: 'rain:view', description: 'Read', renamed_from: 'rain.read' };
  const update = ['clients', 'update', id, '--scopes-file', file([renamed])];
  const asked = await run(update);
  expect([asked.code, asked.stderr]).toEqual([
    2,
    expect.stringContaining('rain.read is renamed to rain:view. 1 integration and 0 access keys get the new name'),
  ]);
  expect((await run([...update, '--yes'])).code).toBe(0);
  expect(await show(client.client_id)).toMatchObject({ scope: 'rain:view' });
  const deprecated = { name: 'rain:view', aliases: ['rain'], description: 'Read', deprecated: ['rain'] };
  await runJson(['clients', 'update', id, '--scopes-file', file([deprecated])], environment);
  const shown = await run(['clients', 'show', id]);
  expect(shown.stdout).toMatch(/scopes +rain:view \(also rain; deprecated rain\)\n/);
});

test('access-keys create takes a named scope as a permission', async () => {
  await createApi(
    'keys',
    '--information',
    'ships',
    '--scopes-file',
    file([{ name: 'ships.sink', description: 'Sink' }]),
  );
  const contact = await runJson<{ id: string }>(
    ['contacts', 'create', '--name', 'Ann', '--email', 'ann@example.com'],
    environment,
  );
  const permission = ['--permission', 'ships:read,ships.sink'];
  const key = await runJson(
    ['access-keys', 'create', '--contact', contact.id, '--name', 'Fleet', ...permission],
    environment,
  );
  expect(key).toMatchObject({ permissions: { ships: ['read'] }, scope: 'ships.sink' });
});

describe('clients import --declare-scopes', () => {
  type Report = { imported: number; declared_scopes: string[]; refused: { reasons: string[] }[] };
  const secret = (letter: string) => `${letter}9f3K-xQ7zLw2_Vn8Rt4`;
  const clients = [
    {
      client_id: 'one',
      client_secret: secret('a'),
      scope: 'openid trains.read trains.write',
      default_scope: 'trains.read',
    },
    { client_id: 'two', client_secret: secret('b'), scope: 'trains.read trains:read' },
    { client_id: 'weak', client_secret: 'aaaa', scope: 'trains.crash' },
  ];
  const importClients = async (...options: string[]) => {
    const { stdout, stderr } = await run(['clients', 'import', '-', '--json', ...options], JSON.stringify(clients));
    if (!stdout) throw new Error(stderr);
    return JSON.parse(stdout) as Report;
  };

  it('declares the scopes that accepted clients need, which then get the tokens that they got before', async () => {
    const id = await createApi('trains', '--information', 'trains');
    const refused = await importClients('--check');
    expect(refused.refused).toHaveLength(3);
    const check = await importClients('--check', '--declare-scopes', id);
    expect(check).toMatchObject({ imported: 0, declared_scopes: ['trains.read', 'trains.write'] });
    expect(check.refused.map(({ reasons }) => reasons)).toEqual([[expect.stringContaining('16 to 256')]]);
    expect((await show(id)).scopes).toEqual([]);

    const done = await importClients('--skip-refused', '--declare-scopes', id);
    expect(done).toMatchObject({ imported: 2, declared_scopes: check.declared_scopes });
    expect((await show(id)).scopes.map(({ name }) => name)).toEqual(['trains.read', 'trains.write']);
    const api = endpointsOf(server.publicUrl);
    const one = { id: 'one', secret: secret('a') };
    expect((await api.token(one)).json['scope']).toBe('trains.read');
    expect((await api.token(one, { scope: 'trains.write' })).json['scope']).toBe('trains.write');
    const two = await api.token({ id: 'two', secret: secret('b') });
    expect(two.json['scope']).toBe('trains.read trains:read');
  });

  it('refuses a Client ID that is no resource server', async () => {
    const { code, stderr } = await run(
      ['clients', 'import', '-', '--declare-scopes', 'kti_0000000000000000000000'],
      JSON.stringify(clients),
    );
    expect([code, stderr]).toEqual([1, expect.stringContaining('no resource server has the Client ID')]);
  });
});
