import { generateRootKey } from '../../src/storage/open-database.ts';
import { createTestDatabase } from '../services.ts';
import { type Environment, runCommand, runJson } from './run-command.ts';

type Key = { id: string; name: string; status: string; access_key: string; permissions: Record<string, string[]> };
type Keys = { data: Key[]; next_cursor: string | null };

let environment: Environment;
let contact: string;
let clientId: string;

const run = (...args: string[]) => runCommand(['access-keys', ...args], environment);
const json = <T = Key>(...args: string[]) => runJson<T>(['access-keys', ...args], environment);
const create = (...args: string[]) => json('create', '--contact', contact, ...args);

beforeAll(async () => {
  environment = {
    DATABASE_URL: await createTestDatabase(),
    KEYTURN_ROOT_KEY: generateRootKey(),
    // No server listens at this address. Only commands that issue tokens may need it.
    REDIS_URL: 'redis://127.0.0.1:1',
  };
  const server = ['--kind', 'resource-server', '--resource', 'https://api.example.com', '--information', 'orders'];
  await runJson(['clients', 'create', '--name', 'Shop', ...server], environment);
  const [client, made] = await Promise.all([
    runJson<{ client_id: string }>(['clients', 'create', '--name', 'Sync', '--scope', 'orders:read'], environment),
    runJson<{ id: string }>(['contacts', 'create', '--name', 'Bo', '--email', 'bo@example.com'], environment),
  ]);
  clientId = client.client_id;
  contact = made.id;
});

test('access-keys create prints only the value on standard output', async () => {
  const created = await run('create', '--contact', contact, '--name', 'Piped', '--permission', 'orders:read');
  expect(created.code).toBe(0);
  expect(created.stdout).toMatch(/^ktk_\w{49}\n$/);
  expect(created.stderr).toMatch(/permissions +orders:read\n/);
  expect(created.stderr).not.toContain('ktk_');
});

test('access-keys create accepts permissions, clients, an expiry and --no-reveal', async () => {
  const permissions = ['--permission', 'orders:read,orders:update', '--permission', 'orders:read'];
  const limits = ['--client', clientId, '--expires-at', '2999-01-01', '--no-reveal'];
  expect(await create('--name', 'Full', ...permissions, ...limits)).toMatchObject({
    contact_id: contact,
    contact_name: 'Bo',
    name: 'Full',
    status: 'enabled',
    permissions: { orders: ['read', 'update'] },
    clients: [clientId],
    expires_at: '2999-01-01T00:00:00.000Z',
    reveal: false,
    access_key: expect.stringMatching(/^ktk_/),
  });
});

test('access-keys update changes only the given fields and can remove limits', async () => {
  const { id } = await create('--name', 'Old name', '--permission', 'orders:read', '--client', clientId);
  expect(await json('update', id, '--name', 'New name', '--expires-at', '2999-01-01T12:00:00Z')).toMatchObject({
    name: 'New name',
    permissions: { orders: ['read'] },
    clients: [clientId],
    expires_at: '2999-01-01T12:00:00.000Z',
  });
  const lifted = await json('update', id, '--any-client', '--never-expires', '--permission', 'none');
  expect(lifted).toMatchObject({ name: 'New name', permissions: {}, clients: null, expires_at: null });
  const shown = await run('show', id);
  expect(shown.stdout).toMatch(/clients +any\n/);
  expect(shown.stdout).not.toContain('ktk_');
});

test('access-keys list prints a table and supports filters and pages', async () => {
  const { id } = await create('--name', 'Listed one', '--permission', 'orders:delete');
  await json('disable', id, '--yes');
  const text = await run('list', '--status', 'disabled', '-q', 'listed');
  expect(text.stdout).toMatch(/^ID +NAME +CONTACT +STATUS +VALUE +PERMISSIONS +LAST USED +EXPIRES\n/);
  expect(text.stdout).toMatch(
    new RegExp(`${id} +Listed one +${contact} +disabled +….{4} +orders:delete +never +never`),
  );
  const [byContact, unused, page] = await Promise.all([
    json<Keys>('list', '--contact', '00000000-0000-4000-8000-000000000000'),
    json<Keys>('list', '--contact', contact, '--unused-for-days', '1'),
    run('list', '--limit', '1'),
  ]);
  expect(byContact).toEqual({ data: [], next_cursor: null });
  expect(unused.data).toEqual([]);
  expect(page.stdout.trim().split('\n')).toHaveLength(2);
  expect(page.stderr).toContain('--cursor ');
});

test('access-keys list --client prints the keys that may be used with that client', async () => {
  const other = await runJson<{ client_id: string }>(['clients', 'create', '--name', 'Other'], environment);
  await create('--name', 'Client any');
  await create('--name', 'Client own', '--client', clientId);
  await create('--name', 'Client other', '--client', other.client_id);
  const { data } = await json<Keys>('list', '--client', clientId, '-q', 'client');
  expect(data.map(({ name }) => name).sort()).toEqual(['Client any', 'Client own']);
});

test('commands that break access keys require --yes without a terminal', async () => {
  const { id } = await create('--name', 'Asked');
  const all = await Promise.all(['disable', 'remove', 'regenerate'].map((command) => run(command, id)));
  for (const { code, stdout, stderr } of all) {
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('--yes');
  }
  expect(await json('show', id)).toMatchObject({ status: 'enabled' });
});

test('access-keys disable, enable, reveal and remove work', async () => {
  const { id, access_key: value } = await create('--name', 'Comes and goes');
  const revealed = await run('reveal', id);
  expect(revealed.stdout).toBe(`${value}\n`);
  expect(revealed.stderr).not.toContain('ktk_');
  expect(await json('disable', id, '--yes')).toMatchObject({ status: 'disabled' });
  expect(await json('enable', id)).toMatchObject({ status: 'enabled' });
  expect(await json('remove', id, '--yes')).toEqual({ id, removed: true });
  expect(await run('show', id)).toEqual({ code: 1, stdout: '', stderr: 'error: Access key not found.\n' });
  expect(await run('show', 'nothing')).toEqual({
    code: 1,
    stdout: '',
    stderr: 'error: Access key not found.\n',
  });
});

test('access-keys regenerate, regenerations, undo and finish work', async () => {
  const { id, access_key: value } = await create('--name', 'Turned');
  const regenerated = await run('regenerate', id, '--overlap', '7d', '--yes');
  expect(regenerated.stdout).toMatch(/^ktk_\w{49}\n$/);
  expect(regenerated.stdout).not.toBe(`${value}\n`);
  expect((await run('regenerations', id)).stdout).toContain('overlapping');
  expect((await run('list', '-q', 'Turned')).stdout).toContain(', retiring');
  expect(await json('undo', id, '--yes')).toMatchObject({ state: 'undone' });
  expect((await run('reveal', id)).stdout).toBe(`${value}\n`);
  await json('regenerate', id, '--yes');
  expect(await json('finish', id, '--yes')).toMatchObject({ state: 'finished' });
  expect((await run('regenerate', id, '--new-client-id')).stderr).toContain('unknown option');
});

test('access-keys exits with 1 and a sentence for a rejection, and with 2 and the option for a malformed value', async () => {
  const args = ['create', '--contact', contact, '--name', 'Refused'];
  const refusals = [
    {
      more: ['--permission', 'ships:read'],
      code: 1,
      says: 'error: --permission: "ships:read" is not offered by any resource server. Offered: ',
    },
    { more: ['--client', 'kti_nobody'], code: 1, says: 'error: --client: client not found: kti_nobody.\n' },
    { more: ['--permission', 'orders'], code: 1, says: 'error: --permission: "orders" is not offered' },
    { more: ['--permission', 'orders:e"t'], code: 2, says: "option '--permission <permissions>'" },
    { more: ['--expires-at', 'soon'], code: 2, says: '--expires-at' },
    { more: ['--expires-at', '2027-02-30'], code: 2, says: 'a valid time' },
    { more: ['--expires-at', '2999-01-31T12:00:00'], code: 2, says: 'with an offset' },
    { more: ['--expires-at', '2020-01-31'], code: 2, says: 'error: --expires-at: must be in the future' },
  ];
  const ended = await Promise.all(refusals.map(({ more }) => run(...args, ...more)));
  for (const [index, { code, says }] of refusals.entries()) {
    expect(ended[index]).toEqual({ code, stdout: '', stderr: expect.stringContaining(says) });
  }
  expect(await run('list', '--contact', 'me')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--contact: '),
  });
  expect(await run('list', '--unused-for-days', 'many')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--unused-for-days: '),
  });
});

test('signing-keys list and rotate work', async () => {
  type SigningKeys = { data: { kid: string; status: string }[] };
  const keys = (...args: string[]) => runJson<SigningKeys>(['signing-keys', ...args], environment);
  const kidOf = ({ data }: SigningKeys, status: string) => data.find((key) => key.status === status)?.kid;
  const before = await keys('list');
  const after = await keys('rotate');
  expect(kidOf(after, 'current')).toBe(kidOf(before, 'next'));
  expect(kidOf(after, 'retired')).toBe(kidOf(before, 'current'));
  const { stdout } = await runCommand(['signing-keys', 'list'], environment);
  expect(stdout).toMatch(/^KID +ALG +STATUS/);
  expect(stdout).toMatch(/ES256 +current/);
});
