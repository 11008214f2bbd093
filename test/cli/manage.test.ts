import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateRootKey } from '../../src/storage/open-database.ts';
import { makeCertificate } from '../certificates.ts';
import { askPostgres, createTestDatabase } from '../services.ts';
import { type Environment, runCommand, runJson } from './run-command.ts';

type Client = { client_id: string; client_secret: string; status: string; scope: string; name: string };

let environment: Environment;
let server: Client;
let client: Client;

beforeAll(async () => {
  environment = {
    DATABASE_URL: await createTestDatabase(),
    KEYTURN_ROOT_KEY: generateRootKey(),
    // No server listens at this address. Only commands that issue tokens may need it.
    REDIS_URL: 'redis://127.0.0.1:1',
  };
  server = await runJson(
    ['clients', 'create', '--name', 'Shop API', '--kind', 'resource-server'].concat([
      '--resource',
      'https://shop.example',
      '--information',
      'orders,products',
    ]),
    environment,
  );
  client = await runJson(['clients', 'create', '--name', 'Sync', '--scope', 'orders:read,orders:create'], environment);
});

const refusedBy = async (args: string[], input?: string) => {
  const { code, stdout, stderr } = await runCommand(args, environment, input);
  return { code, stdout, stderr };
};

test('clients create prints the same JSON as the admin API', () => {
  expect(server).toMatchObject({
    kind: 'resource_server',
    information: ['orders', 'products'],
    token_format: 'opaque',
  });
  expect(client).toMatchObject({ kind: 'integration', status: 'enabled', scope: 'orders:read orders:create' });
  expect(client.client_id).toMatch(/^kti_/);
  expect(client.client_secret).toMatch(/^kts_/);
});

test('clients create prints only the secret on standard output, and its description on standard error', async () => {
  const created = await runCommand(['clients', 'create', '--name', 'Piped'], environment);
  expect(created.code).toBe(0);
  expect(created.stdout).toMatch(/^kts_\w{49}\n$/);
  expect(created.stderr).toMatch(/client_id +kti_/);
  const revealed = await runCommand(['clients', 'reveal', client.client_id], environment);
  expect(revealed.stdout).toBe(`${client.client_secret}\n`);
  expect(revealed.stderr).not.toContain('kts_');
});

test('clients create reads certificates and keys from files and then prints no secret', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'keyturn-cli-'));
  const file = (name: string, content: string) => {
    writeFileSync(join(directory, name), content);
    return join(directory, name);
  };
  const create = ['clients', 'create', '--name', 'Sync', '--auth-method'];
  const [own, next] = [makeCertificate(), makeCertificate()];
  const selfSigned = [...create, 'self_signed_tls_client_auth', '--certificate', file('own.crt', own.cert)];
  const registered = await runJson(selfSigned, environment);
  expect(registered).not.toHaveProperty('client_secret');
  expect(registered).toMatchObject({
    jwks: { keys: [{ x5c: [own.x509.raw.toString('base64')] }] },
    tls_client_certificate_bound_access_tokens: true,
  });
  const both = ['--certificate', file('own.crt', own.cert), '--certificate', file('next.crt', next.cert)];
  const update = ['clients', 'update', String(registered['client_id']), ...both, '--no-certificate-bound-tokens'];
  const updated = await runJson<{ jwks: { keys: object[] } }>(update, environment);
  expect(updated).toMatchObject({ tls_client_certificate_bound_access_tokens: false });
  expect(updated.jwks.keys).toHaveLength(2);

  const named = [...create, 'tls_client_auth', '--tls-client-auth-subject-dn', 'CN=sync,O=Example'];
  const shown = await runCommand(named, environment);
  expect(shown.code).toBe(0);
  expect(shown.stdout).toMatch(/tls_client_auth_subject_dn +CN=sync,O=Example/);
  expect(shown.stdout).not.toContain('kts_');

  const jwks = { keys: [own.x509.publicKey.export({ format: 'jwk' })] };
  const keyed = [...create, 'private_key_jwt', '--jwks', file('jwks.json', JSON.stringify(jwks))];
  expect(await runJson(keyed, environment)).toMatchObject({ jwks });
  expect(await refusedBy([...create, 'private_key_jwt', '--jwks', file('broken.json', '{')])).toMatchObject({
    code: 2,
  });
  const nothing = [...create, 'self_signed_tls_client_auth', '--certificate', file('key.pem', own.key)];
  expect(await refusedBy(nothing)).toMatchObject({ code: 2 });
  expect(await refusedBy([...create, 'tls_client_auth'])).toMatchObject({ code: 1 });
  rmSync(directory, { recursive: true });
});

test('a list is printed in the chosen order, with the cursor of the previous page', async () => {
  const create = (name: string) =>
    runJson(['contacts', 'create', '--name', name, '--email', 'x@order.example'], environment);
  for (const name of ['Order B', 'Order C', 'Order A']) await create(name);
  const list = (...options: string[]) =>
    runCommand(['contacts', 'list', '-q', 'order.example', ...options], environment);
  const names = ({ stdout }: { stdout: string }) => stdout.match(/Order [A-C]/g);
  expect(names(await list('--order', '-name'))).toEqual(['Order C', 'Order B', 'Order A']);
  const first = await list('--order', 'name', '--limit', '2');
  expect([names(first), first.stderr]).toEqual([['Order A', 'Order B'], expect.not.stringContaining('previous')]);
  const cursorIn = (text: string) => /--cursor (\S+)/.exec(text)?.[1] ?? '';
  const second = await list('--order', 'name', '--limit', '2', '--cursor', cursorIn(first.stderr));
  expect([names(second), second.stderr]).toEqual([['Order C'], expect.stringMatching(/^The previous page: --cursor /)]);
  const back = await list('--order', 'name', '--limit', '2', '--cursor', cursorIn(second.stderr));
  expect(names(back)).toEqual(['Order A', 'Order B']);
});

test('clients list, show and update work', async () => {
  const [list, shown] = await Promise.all([
    runJson<{ data: Client[]; next_cursor: string }>(
      ['clients', 'list', '--kind', 'integration', '--limit', '1'],
      environment,
    ),
    runJson<Client>(['clients', 'show', client.client_id], environment),
  ]);
  expect(list.data).toHaveLength(1);
  expect(list.next_cursor).toEqual(expect.any(String));
  expect(shown.name).toBe('Sync');
  expect(shown).not.toHaveProperty('client_secret');
  const args = ['clients', 'update', client.client_id, '--name', 'Order sync'];
  expect(await runJson(args, environment)).toMatchObject({ name: 'Order sync', scope: 'orders:read orders:create' });
});

test('clients create and update set the type of JWT access tokens', async () => {
  const create = [
    'clients',
    'create',
    '--kind',
    'resource-server',
    '--name',
    'Typed',
    '--resource',
    'https://typed.example',
  ];
  const made = await runJson<Client>([...create, '--token-format', 'jwt', '--token-typ', 'JWT'], environment);
  expect(made).toMatchObject({ token_format: 'jwt', token_typ: 'JWT' });
  const updated = await runCommand(['clients', 'update', made.client_id, '--token-typ', 'at+jwt'], environment);
  expect(updated.stdout).toMatch(/tokens +jwt, typ at\+jwt/);
  expect(await refusedBy(['clients', 'update', client.client_id, '--token-typ', 'JWT'])).toMatchObject({ code: 1 });
});

test('commands that break clients require --yes without a terminal', async () => {
  const commands = ['disable', 'delete', 'revoke-tokens'];
  const all = await Promise.all(commands.map((command) => refusedBy(['clients', command, client.client_id], 'y\n')));
  for (const { code, stdout, stderr } of all) {
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('--yes');
  }
});

test('clients revoke-tokens, disable, enable and delete work', async () => {
  const { client_id: id } = await runJson<Client>(['clients', 'create', '--name', 'Gone soon'], environment);
  expect(await runJson(['clients', 'revoke-tokens', id, '--yes'], environment)).toEqual({
    client_id: id,
    tokens_not_before: expect.stringMatching(/^\d{4}-.*Z$/),
  });
  const early = await refusedBy(['clients', 'delete', id, '--yes']);
  expect(early).toEqual({
    code: 1,
    stdout: '',
    stderr: expect.stringContaining('An enabled client cannot be deleted'),
  });
  expect(await runJson(['clients', 'disable', id, '-y'], environment)).toMatchObject({ status: 'disabled' });
  expect(await runJson(['clients', 'enable', id], environment)).toMatchObject({ status: 'enabled' });
  await runJson(['clients', 'disable', id, '-y'], environment);
  expect(await runJson(['clients', 'delete', id, '-y'], environment)).toEqual({ client_id: id, deleted: true });
  expect(await refusedBy(['clients', 'show', id])).toEqual({
    code: 1,
    stdout: '',
    stderr: 'error: Client not found.\n',
  });
});

test('clients exits with 1 and a sentence for a rejection, and with 2 and the option for a malformed value', async () => {
  const id = client.client_id;
  expect(await refusedBy(['clients', 'update', id, '--scope', 'nothing:read'])).toEqual({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(
      /^error: --scope: "nothing:read" is not offered by any resource server\. Offered: .*orders:read.*\.\n$/,
    ),
  });
  expect(await refusedBy(['contacts', 'create', '--name', 'A', '--email', 'nobody'])).toEqual({
    code: 2,
    stdout: '',
    stderr: expect.stringContaining('--email: '),
  });
  expect(
    await refusedBy(['contacts', 'create', '--name', 'A', '--email', 'a@b.example', '--permission', 'root']),
  ).toEqual({
    code: 2,
    stdout: '',
    stderr: expect.stringContaining('--permission: '),
  });
});

test('only commands that issue tokens need Redis, and they report that it is unavailable', async () => {
  const { code, stdout, stderr } = await refusedBy(['clients', 'authorization-token', client.client_id]);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(/redis.*ECONNREFUSED/is);
});

test('clients authorization-token issues, shows and revokes the token', async () => {
  const { REDIS_URL: _none, ...withoutRedis } = environment;
  const args = ['clients', 'authorization-token', client.client_id];
  expect(await runJson([...args, '--scope', 'orders:read'], withoutRedis)).toEqual({
    access_token: expect.stringMatching(/^kta_/),
    token_type: 'Bearer',
    expires_in: 3600,
    scope: 'orders:read',
  });
  expect(await runJson([...args, '--show'], withoutRedis)).toMatchObject({ scope: 'orders:read' });
  await runJson([...args, '--revoke'], withoutRedis);
  expect((await runCommand([...args, '--show'], withoutRedis)).code).toBe(1);
});

test('contacts create --permission all --operator-token creates an operator and prints only the token, once', async () => {
  const args = ['contacts', 'create', '--name', 'Ann', '--email', 'ann@example.com', '--permission', 'all'];
  const { code, stdout, stderr } = await runCommand([...args, '--operator-token'], environment);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^kto_\w{49}\n$/);
  expect(stderr).toContain('Ann');
  expect(stderr).not.toContain('kto_');
});

test('contacts create, list, show, update, operator-token and delete work', async () => {
  type Contact = { id: string; permissions: string[]; operator_token?: string };
  const given = [
    '--permission',
    'integrations:view,audit:view',
    '--permission',
    'api_key:manage',
    '--external-id',
    '4711',
  ];
  const fields = ['--name', 'Bo', '--email', 'bo@example.com', ...given];
  const created = await runJson<Contact>(['contacts', 'create', ...fields, '--operator-token'], environment);
  expect(created.operator_token).toMatch(/^kto_/);
  expect(created.permissions).toEqual(['integrations:view', 'audit:view', 'api_key:manage']);
  const { id } = created;
  const [list, shown] = await Promise.all([
    runJson<{ data: Contact[] }>(['contacts', 'list', '-q', '4711'], environment),
    runJson<Contact>(['contacts', 'show', id], environment),
  ]);
  expect(list.data).toEqual([shown]);
  const changes = ['--permission', 'none', '--no-external-id'];
  expect(await runJson(['contacts', 'update', id, ...changes], environment)).toMatchObject({
    permissions: [],
    external_id: null,
  });
  const again = await runJson<Contact>(['contacts', 'operator-token', id], environment);
  expect(again.operator_token).not.toBe(created.operator_token);
  await runJson(['contacts', 'operator-token', id, '--revoke'], environment);
  expect(await runJson(['contacts', 'delete', id, '--yes'], environment)).toEqual({ id, deleted: true });
});

test('the audit log names the system user and lists the newest event first', async () => {
  type Event = { actor: string; actor_name: string; address: null; action: string };
  const { data } = await runJson<{ data: Event[] }>(['audit', 'list', '--target', client.client_id], environment);
  expect(data.at(-1)).toMatchObject({ action: 'client.create', address: null });
  expect(data.at(-1)?.actor).toMatch(/^cli:./);
  expect(data.at(-1)?.actor_name).toMatch(/ \(command line\)$/);
  expect(data.map(({ action }) => action)).toContain('client.reveal_secret');
  expect(JSON.stringify(data)).not.toMatch(/kt[sako]_/);
});

test('migrate reports that the database is up to date', async () => {
  expect(await runJson(['migrate'], environment)).toEqual({ applied: [] });
});

test('control characters in stored text are not printed', async () => {
  const url = environment['DATABASE_URL'] ?? '';
  await askPostgres(url, `UPDATE clients SET name = E'evil\\x1b[2J\\r\\n' WHERE client_id = '${client.client_id}'`);
  const { code, stdout } = await runCommand(['clients', 'list'], environment);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^CLIENT_ID +NAME.*\n/);
  expect(stdout).toMatch(/kti_\w{22} +Shop API +resource_server +enabled/);
  expect(stdout).toContain('evil�[2J��');
  expect(stdout).not.toContain('\u001b');
});
