import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { permissions } from '../../src/contacts/contact.ts';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { endpointsOf } from '../oauth/fixture.ts';
import { startTcpProxy } from '../tcp-proxy.ts';
import { type Environment, runCommand, runJson } from './run-command.ts';

type Thing = { id: string; client_id: string; client_secret: string; name: string };
type Things = { data: Thing[]; next_cursor: string | null };

let server: AdminServer;
let home: string;
let url: string;
let token: string;
/** An environment without any store, so that only the server can answer. */
let environment: Environment;

beforeAll(async () => {
  server = await startAdminServer();
  url = server.adminUrl.replace('127.0.0.1', 'localhost');
  home = mkdtempSync(join(tmpdir(), 'keyturn-remote-'));
  token = await server.operatorToken();
  environment = {
    XDG_CONFIG_HOME: home,
    KEYTURN_DATA_DIR: join(home, 'absent'),
    KEYTURN_URL: url,
    KEYTURN_OPERATOR_TOKEN: token,
  };
  const api = ['--kind', 'resource-server', '--resource', 'https://api.example', '--information', 'orders'];
  await json('clients', 'create', '--name', 'API', ...api);
});
afterAll(async () => {
  await server?.close();
  rmSync(home, { recursive: true, force: true });
});

const run = (...args: string[]) => runCommand(args, environment);
const json = <T = Thing>(...args: string[]) => runJson<T>(args, environment);
const without = (...names: string[]) =>
  Object.fromEntries(Object.entries(environment).filter(([name]) => !names.includes(name)));

test('commands work on a running server with an operator token, from creation to rotation and removal', async () => {
  const contact = await json('contacts', 'create', '--name', 'Ann', '--email', 'ann@example.com');
  const created = await run('clients', 'create', '--name', 'Sync', '--scope', 'orders:read', '--owner', contact.id);
  expect(created.stdout).toMatch(/^kts_\w{49}\n$/);
  const { data } = await json<Things>('clients', 'list', '-q', 'Sync');
  const id = data[0]?.client_id ?? '';
  expect((await run('clients', 'reveal', id)).stdout).toBe(created.stdout);
  const rotated = await run('clients', 'regenerate', id, '--overlap', '7d', '--yes');
  expect(rotated).toMatchObject({ code: 0, stdout: expect.stringMatching(/^kts_/) });
  expect((await run('clients', 'undo', id, '--yes')).code).toBe(0);
  const authorization = await run('clients', 'authorization-token', id);
  expect(authorization.stdout).toMatch(/^kta_/);
  expect(await run('explain', id)).toMatchObject({ code: 0 });
  expect(await json('access-keys', 'create', '--contact', contact.id, '--name', 'Key')).toMatchObject({ name: 'Key' });
  expect((await run('clients', 'disable', id, '--yes')).code).toBe(0);
  expect(await json('clients', 'delete', id, '--yes')).toEqual({ client_id: id, deleted: true });
  expect(await run('clients', 'show', id)).toEqual({ code: 1, stdout: '', stderr: 'error: Client not found.\n' });
  // The audit log names the operator, not a user of the machine.
  const events = await json<{ data: { action: string; actor_name: string }[] }>('audit', 'list', '--target', id);
  expect(events.data.find(({ action }) => action === 'client.delete')?.actor_name).toMatch(/^Operator/);
});

test('a list with --all prints every page, also on a running server, and no rows are a sentence', async () => {
  for (const index of [1, 2, 3])
    await server.adminFetch('/contacts', body({ name: `Many ${index}`, email: 'm@x.example' }));
  const [first, all] = await Promise.all([
    json<Things>('contacts', 'list', '-q', 'Many', '--limit', '2'),
    json<Things>('contacts', 'list', '-q', 'Many', '--all'),
  ]);
  expect([first.data.length, first.next_cursor !== null]).toEqual([2, true]);
  expect(all).toMatchObject({ next_cursor: null, data: [{ name: 'Many 3' }, { name: 'Many 2' }, { name: 'Many 1' }] });
  const none = await run('contacts', 'list', '-q', 'Nobody');
  expect(none).toEqual({ code: 0, stdout: '', stderr: 'Nothing was found.\n' });
});

test('errors of a running server name the option that was typed, and exit as those of the stores', async () => {
  const direct = { DATABASE_URL: server.stores.databaseUrl, KEYTURN_ROOT_KEY: server.stores.rootKey };
  for (const args of [
    ['clients', 'create', '--name', 'x', '--owner', 'Ann'],
    ['clients', 'create', '--name', 'x', '--scope', 'orders:fly'],
    ['clients', 'list', '--label', '=x'],
    ['clients', 'show', 'nothing'],
    ['clients', 'list', '--limit', '201'],
  ]) {
    const [remote, here] = await Promise.all([run(...args), runCommand(args, direct)]);
    expect({ args, ...remote }).toEqual({ args, ...here });
    expect(remote.code).not.toBe(0);
  }
  // A path with dots would lead to another route.
  expect(await run('clients', 'show', '..')).toMatchObject({ code: 1, stderr: 'error: Not found.\n' });
  expect((await run('clients', 'create', '--name', 'x', '--owner', 'Ann')).stderr).toMatch(/^error: --owner: /);
  expect((await run('clients', 'list', '--limit', '201')).stderr).toContain('from 1 to 200');
});

test('an export of a running server describes the same clients, and commands that need the stores say why', async () => {
  const direct = { DATABASE_URL: server.stores.databaseUrl, KEYTURN_ROOT_KEY: server.stores.rootKey };
  const owner = await json('contacts', 'create', '--name', 'Owner', '--email', 'owner@example.com');
  await json('clients', 'create', '--name', 'Exported', '--scope', 'orders:read', '--owner', owner.id);
  const [remote, here] = await Promise.all([run('clients', 'export'), runCommand(['clients', 'export'], direct)]);
  expect(remote).toEqual(here);
  expect(JSON.parse(remote.stdout)).toContainEqual(expect.objectContaining({ client_name: 'Exported' }));
  for (const [args, why] of [
    ['audit verify', 'with the root key'],
    ['after-restore --yes', 'before a server starts'],
  ] as const) {
    const refused = await run(...args.split(' '));
    expect({ args, ...refused }).toEqual({ args, code: 2, stdout: '', stderr: expect.stringContaining(why) });
  }
});

test('a question names the thing, its last use and what will fail, before anything changes', async () => {
  const client = await json('clients', 'create', '--name', 'Asked', '--scope', 'orders:read');
  const contact = await json('contacts', 'create', '--name', 'Partner', '--email', 'partner@example.com');
  const key = await json('access-keys', 'create', '--contact', contact.id, '--name', 'Warehouse');
  const { data: keys } = await json<{ data: { kid: string }[] }>('signing-keys', 'list');
  const api = (await json<Things>('clients', 'list', '--kind', 'resource-server')).data[0]?.client_id ?? '';
  const name = `"Asked" (${client.client_id}, last used never)`;
  const use = 'In the last 30 days: 0 tokens, 0 other uses, 0 rejected requests, from 0 sources.';
  const secret = (await run('clients', 'reveal', client.client_id)).stdout;
  const leak = await runCommand(['leaks', 'check', '-', '--disable'], environment, secret);
  const asked = [
    [['clients', 'disable', client.client_id], `${use}\nDisable ${name}? The integration stops working at once`],
    [['clients', 'disable', api], 'every integration that calls it fails. No token is revoked.'],
    [['clients', 'revoke-tokens', client.client_id], `${use}\nRevoke every live token of ${name}?`],
    [['clients', 'delete', client.client_id], `${use}\nDelete ${name}?`],
    [['clients', 'regenerate', client.client_id], `Rotate the client secret of ${name}?`],
    [['access-keys', 'disable', key.id], `${use}\nDisable "Warehouse" (${key.id}, last used never)?`],
    [['access-keys', 'remove', key.id], `${use}\nRemove "Warehouse" (${key.id}, last used never)?`],
    [['contacts', 'delete', contact.id], `Delete "Partner" (${contact.id}, partner@example.com)?`],
    [['signing-keys', 'revoke', keys.find(({ kid }) => !kid.startsWith('-'))?.kid ?? ''], ' (ES256, '],
  ] as const;
  for (const [args, question] of asked) {
    const { code, stdout, stderr } = await run(...args);
    expect({ args, code, stdout }).toEqual({ args, code: 2, stdout: '' });
    expect(stderr).toContain(question);
  }
  expect(leak.stderr).toMatch(/client_secret.*Asked[\s\S]*End this live credential\?/);
  await json('clients', 'regenerate', client.client_id, '--yes');
  for (const [verb, question] of [
    ['undo', `Undo this rotation of ${name}?`],
    ['finish', `End the grace period of ${name} now? The previous client secret stops working at once. Every known`],
    ['mark-moved --address 192.0.2.7', `Mark 192.0.2.7 as a source of ${name} that has moved?`],
  ]) {
    const [word = '', ...more] = verb?.split(' ') ?? [];
    expect((await run('clients', word, client.client_id, ...more)).stderr).toContain(question);
  }
  expect(await json('clients', 'show', client.client_id)).toMatchObject({ status: 'enabled' });
});

test('a profile keeps URL and token in a file that only its user can read', async () => {
  const file = join(home, 'keyturn', 'profiles.json');
  const bare = without('KEYTURN_URL', 'KEYTURN_OPERATOR_TOKEN');
  const login = await runCommand(['login', '--url', url, '--profile', 'test'], bare, `${token}\n`);
  expect(login).toMatchObject({ code: 0, stdout: expect.stringContaining('as Operator') });
  expect(login.stdout + login.stderr).not.toContain(token);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ test: { url, token } });
  expect(await runJson(['whoami', '--profile', 'test'], bare)).toMatchObject({
    permissions,
    issuer: server.core.config.issuer,
  });
  expect(await runJson(['clients', 'list', '--profile', 'test'], bare)).toMatchObject({ data: expect.any(Array) });

  const elsewhere = ['whoami', '--profile', 'test', '--url', 'https://elsewhere.example'];
  const sent = await runCommand(elsewhere, bare);
  expect(sent).toMatchObject({ code: 2, stderr: expect.stringContaining('is not sent to https://elsewhere.example') });

  chmodSync(file, 0o644);
  const open = await runCommand(['whoami', '--profile', 'test'], bare);
  expect(open).toMatchObject({ code: 2, stderr: expect.stringContaining('chmod 600') });
  chmodSync(file, 0o600);
  const wrong = await runCommand(['login', '--url', url, '--profile', 'other'], bare, `${token}x`);
  expect(wrong).toMatchObject({ code: 1, stderr: expect.stringContaining('A valid operator token is required') });
  expect((await runCommand(['logout', '--profile', 'test'], bare)).code).toBe(0);
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({});
  expect(await runCommand(['whoami', '--profile', 'test'], bare)).toMatchObject({ code: 2 });
});

test.each(['KEYTURN_URL', 'KEYTURN_OPERATOR_TOKEN', 'KEYTURN_PROFILE'])(
  'commands exit with 2 if %s is set but empty, instead of working on the stores of this machine',
  async (name) => {
    for (const args of [['clients', 'list'], ['audit', 'verify'], ['doctor']]) {
      const { code, stdout, stderr } = await runCommand(args, { ...environment, [name]: ' ' });
      expect({ args, code, text: stdout + stderr }).toEqual({
        args,
        code: args[0] === 'doctor' ? 1 : 2,
        text: expect.stringContaining(`${name} is set but empty`),
      });
    }
  },
);

test('a token is never sent unencrypted over a network, nor to where a server redirects', async () => {
  const plain = await run('whoami', '--url', 'http://admin.example.com');
  expect(plain).toMatchObject({ code: 2, stderr: expect.stringContaining('sent unencrypted') });
  expect((await run('whoami', '--url', 'admin.example.com')).code).toBe(2);
  // The public listener is no admin listener.
  expect(await run('whoami', '--url', server.publicUrl)).toMatchObject({ code: 1 });
  const away = await run('whoami', '--url', 'http://127.0.0.1:1');
  expect(away).toMatchObject({ code: 1, stderr: expect.stringContaining('cannot be reached') });
});

test('a request whose answer is lost is repeated, and creates one client only', async () => {
  let answers = 0;
  const proxy = await startTcpProxy(server.adminUrl, (data) => {
    answers += 1;
    if (answers === 1) {
      proxy.cut();
      proxy.restore();
    }
    return data;
  });
  try {
    const { code } = await run(
      'clients',
      'create',
      '--name',
      'Once only',
      '--url',
      proxy.url.replace('127.0.0.1', 'localhost'),
    );
    expect(code).toBe(0);
    expect(answers).toBeGreaterThan(1);
    expect((await json<Things>('clients', 'list', '-q', 'Once')).data).toHaveLength(1);
  } finally {
    await proxy.close();
  }
});

test('help shows the command that its words name, with required options first', async () => {
  const [words, option] = await Promise.all([run('help', 'clients', 'create'), run('clients', 'create', '--help')]);
  expect(words).toEqual(option);
  expect(words.stdout).toMatch(/Options:\n +--name <text> +name of the client\s+\(required\)/);
  expect((await run('help', 'clients', 'fly')).code).toBe(2);
});

const body = (fields: object) => ({ method: 'POST', body: fields });

describe('moving to a running server', () => {
  const secret = (letter: string) => `${letter}9f3K-xQ7zLw2_Vn8Rt4`;
  const clients = [
    { client_id: 'old-1', client_secret: secret('a'), scope: 'orders:read', description: 'From before' },
    { client_id: 'old-2', client_secret: secret('b'), scope: 'orders:fly' },
  ];
  type Report = { imported: number; refused: { client_id: string; reasons: string[] }[] };

  async function importClients(rows: object[], ...options: string[]): Promise<Report> {
    const { stdout, stderr } = await runCommand(
      ['clients', 'import', '-', '--json', ...options],
      environment,
      JSON.stringify(rows),
    );
    if (!stdout) throw new Error(stderr);
    return JSON.parse(stdout) as Report;
  }

  test('clients import sends the clients of a file, into an organization if one is named', async () => {
    const organization = await json('organizations', 'create', '--name', 'Partner');
    const check = await importClients(clients, '--check');
    expect(check.refused).toMatchObject([
      { client_id: 'old-2', reasons: ['no resource server offers the scope orders:fly'] },
    ]);
    const done = await importClients(clients, '--skip-refused', '--organization', organization.id);
    expect(done).toMatchObject({ imported: 1, refused: check.refused });
    expect(await json('clients', 'show', 'old-1')).toMatchObject({
      organization_id: organization.id,
      description: 'From before',
    });
    const { status } = await endpointsOf(server.publicUrl).token({ id: 'old-1', secret: secret('a') });
    expect(status).toBe(200);
    const wrong = await runCommand(
      ['clients', 'import', '-', '--organization', crypto.randomUUID()],
      environment,
      JSON.stringify(clients),
    );
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('--organization: organization not found') });
  });

  test('clients import finds what is twice in a file of several requests', async () => {
    const many = Array.from({ length: 501 }, (_, index) => ({
      client_id: `part-${index}`,
      client_secret: `${index}-${secret('c')}`,
      scope: 'orders:read',
    }));
    const sameId = { ...many[0], client_secret: secret('d') };
    const sameSecret = { ...many[1], client_id: 'part-x' };
    const { refused, imported } = await importClients([...many, sameId, sameSecret], '--skip-refused');
    expect([imported, refused.map(({ reasons }) => reasons)]).toEqual([
      501,
      [[expect.stringMatching(/^has the same Client ID as /)], [expect.stringMatching(/^has the same secret as /)]],
    ]);
  });

  test('moving rehearse answers by the rules of the server', async () => {
    const log = `${JSON.stringify({ client_id: 'old-1', scope: 'orders:read' })}\n${JSON.stringify({ client_id: 'old-2' })}\n`;
    const { stdout, code } = await runCommand(['moving', 'rehearse', '-', '--each'], environment, log);
    const answers = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { status: number });
    expect([code, answers.map(({ status }) => status)]).toEqual([1, [200, 401]]);
  });
});
