import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateRootKey } from '../../src/storage/open-database.ts';
import { createTestDatabase } from '../services.ts';
import { type Environment, runCommand, runJson } from './run-command.ts';

type Thing = { id: string; client_id: string };
type Things = { data: Thing[] };

let environment: Environment;
let directory: string;
let owner: string;

beforeAll(async () => {
  environment = { DATABASE_URL: await createTestDatabase(), KEYTURN_ROOT_KEY: generateRootKey() };
  directory = mkdtempSync(join(tmpdir(), 'keyturn-details-'));
  writeFileSync(join(directory, 'crm.json'), '{"crm": {"id": 4711}}');
  writeFileSync(join(directory, 'list.json'), '[1]');
  const server = ['--kind', 'resource-server', '--resource', 'https://api.example.com', '--information', 'orders'];
  await json('clients', 'create', '--name', 'Shop', ...server);
  owner = (await json('contacts', 'create', '--name', 'Bo', '--email', 'bo@example.com')).id;
});
afterAll(() => rmSync(directory, { recursive: true }));

const json = <T = Thing>(...args: string[]) => runJson<T>(args, environment);
const run = (...args: string[]) => runCommand(args, environment);
const create = (...args: string[]) => json('clients', 'create', '--name', 'Sync', '--scope', 'orders:read', ...args);

test('clients create and update accept every detail of a client, and update removes each of them', async () => {
  const made = await create(
    ...['--owner', owner, '--description', 'Sends orders', '--label', 'team=logistics', '--label', 'note=a=b'],
    ...['--technical-contact', 'it@partner.example', '--technical-contact', 'Ann, +49 30 1234'],
    ...['--metadata-file', join(directory, 'crm.json'), '--access-token-ttl', '15m', '--default-scope', 'orders:read'],
    ...['--dialect', 'audience,json_body', '--dialect', 'other_paths'],
    ...['--claim', 'tenant=acme', '--claim', 'level=3', '--claim', 'trial=false', '--claim', 'regions=["eu","us"]'],
    ...['--claim', 'zip="01234"', '--claim', 'code=0815', '--self-rotation'],
  );
  const details = {
    owner_contact_id: owner,
    description: 'Sends orders',
    labels: { team: 'logistics', note: 'a=b' },
    contacts: ['it@partner.example', 'Ann, +49 30 1234'],
    metadata: { crm: { id: 4711 } },
    access_token_ttl: 900,
    default_scope: 'orders:read',
    dialects: ['audience', 'json_body', 'other_paths'],
    claims: { tenant: 'acme', level: 3, trial: false, regions: ['eu', 'us'], zip: '01234', code: '0815' },
    self_rotation: true,
  };
  expect(made).toMatchObject(details);
  const shown = await run('clients', 'show', made.client_id);
  for (const text of [
    owner,
    'team=logistics',
    'tenant="acme"',
    '900 s',
    '{"crm":{"id":4711}}',
    'it@partner.example',
    'json_body',
  ]) {
    expect(shown.stdout).toContain(text);
  }

  const changed = await json('clients', 'update', made.client_id, '--label', 'team=sales', '--default-scope', 'none');
  expect(changed).toMatchObject({ ...details, labels: { team: 'sales' }, default_scope: '' });

  const all = [
    'owner',
    'description',
    'label',
    'technical-contact',
    'metadata',
    'access-token-ttl',
    'default-scope',
    'dialect',
    'self-rotation',
  ];
  const removed = await json('clients', 'update', made.client_id, ...all.map((name) => `--no-${name}`), '--no-claim');
  expect(removed).toMatchObject({
    owner_contact_id: null,
    description: null,
    labels: {},
    contacts: [],
    metadata: {},
    access_token_ttl: null,
    default_scope: null,
    dialects: [],
    claims: {},
    self_rotation: false,
  });
});

test('access-keys create and update accept a description, labels and claims, and update removes them', async () => {
  const notes = ['--description', 'For the warehouse', '--label', 'site=HAM', '--claim', 'site=HAM'];
  const made = await json('access-keys', 'create', '--contact', owner, '--name', 'Warehouse', ...notes);
  const expected = { description: 'For the warehouse', labels: { site: 'HAM' }, claims: { site: 'HAM' } };
  expect(made).toMatchObject(expected);
  expect((await run('access-keys', 'show', made.id)).stdout).toMatch(/labels +site=HAM\nclaims +site="HAM"\n/);
  expect((await json<Things>('access-keys', 'list', '--label', 'site=HAM')).data).toMatchObject([{ id: made.id }]);
  expect((await json<Things>('access-keys', 'list', '--label', 'site=BER')).data).toEqual([]);
  const removed = ['--no-description', '--no-label', '--no-claim'];
  expect(await json('access-keys', 'update', made.id, '--name', 'New')).toMatchObject(expected);
  expect(await json('access-keys', 'update', made.id, ...removed)).toMatchObject({
    description: null,
    labels: {},
    claims: {},
  });
});

test('clients list filters by owner and by label', async () => {
  const { id } = await json('contacts', 'create', '--name', 'Cy', '--email', 'cy@example.com');
  const { client_id: labelled } = await create('--label', 'shelf=top');
  const { client_id: owned } = await create('--label', 'shelf=low', '--owner', id);
  const listed = async (...args: string[]) =>
    (await json<Things>('clients', 'list', ...args)).data.map(({ client_id: clientId }) => clientId);
  expect(await listed('--label', 'shelf=top')).toEqual([labelled]);
  expect(await listed('--label', 'shelf')).toEqual([owned, labelled]);
  expect(await listed('--owner', id)).toEqual([owned]);
});

test.each([
  ['--label', 'team', '--label'],
  ['--label', '-x=y', '--label'],
  ['--claim', 'iss=https://evil.example', '--claim'],
  ['--claim', 'tenant={"a":1}', '--claim'],
  ['--access-token-ttl', '30s', '--access-token-ttl'],
  ['--owner', 'Ann', '--owner'],
  ['--metadata-file', 'list.json', '--metadata-file'],
  ['--metadata-file', 'absent.json', '--metadata-file'],
  ['--dialect', 'json', '--dialect'],
  ['--technical-contact', '\u200b', '--technical-contact'],
])('rejects %s %j with exit code 2, and names the option that was typed', async (option, value, named) => {
  const given = option === '--metadata-file' ? join(directory, value) : value;
  const { code, stdout, stderr } = await run('clients', 'create', '--name', 'Wrong', option, given);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toMatch(new RegExp(`error: .*${named}[: ]`));
});
