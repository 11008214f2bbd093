import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { permissions } from '../../src/contacts/contact.ts';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { eventually } from '../eventually.ts';
import { createTestStores, type Stores } from '../harness.ts';
import { endpointsOf } from '../oauth/fixture.ts';
import { type Environment, ended, runCommand, startCommand } from './run-command.ts';

type Document = Record<string, unknown>;
type Change = {
  id: string;
  kind: string;
  name: string;
  action: string;
  fields: { field: string }[];
  cuts: { what: string; used_by: { name: string }[] }[];
  needs_acceptance: boolean;
  lacks: string | null;
};
type Plan = { changes: Change[]; fingerprint: string };

const example = fileURLToPath(new URL('../../examples/configuration', import.meta.url));
const providerSecret = 'the-secret-of-the-provider';

let stores: Stores;
let folder: string;
let server: AdminServer;
/** The command line on the stores. */
let direct: Environment;
/** The command line on the running server. */
let remote: Environment;
let secrets: { kind: string; name: string; id: string; secret: string }[];

beforeAll(async () => {
  stores = await createTestStores();
  folder = mkdtempSync(join(tmpdir(), 'keyturn-configuration-'));
  direct = environmentOf(stores);
});
afterAll(async () => {
  await server?.close();
  rmSync(folder, { recursive: true, force: true });
});

function environmentOf({ databaseUrl, rootKey }: Stores): Environment {
  return { DATABASE_URL: databaseUrl, KEYTURN_ROOT_KEY: rootKey, EXAMPLE_LOGIN_CLIENT_SECRET: providerSecret };
}

const path = (name: string) => join(folder, name);

/** Returns the contents of all files below a folder. */
function filesIn(directory: string): Record<string, string> {
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort();
  const files = names.filter((name) => statSync(join(directory, name)).isFile());
  return Object.fromEntries(files.map((name) => [name, readFileSync(join(directory, name), 'utf8')]));
}

async function run(environment: Environment, ...args: string[]) {
  const done = await runCommand(args, environment);
  // No command prints a secret, whatever happens.
  expect(done.stdout + done.stderr).not.toMatch(/kts_|whsec_|the-secret-of-the-provider/);
  return done;
}

/** Writes documents as a file, which may have many of them. */
function write(name: string, ...documents: Document[]): string {
  mkdirSync(folder, { recursive: true });
  writeFileSync(path(name), JSON.stringify(documents));
  return path(name);
}

const post = (to: string, body: object, token?: string) =>
  server.adminFetch(`/configuration/${to}`, { method: 'POST', body, ...(token ? { token } : {}) });
const plan = async (documents: Document[], more: object = {}, token?: string): Promise<Plan> =>
  (await post('plan', { documents, ...more }, token)).json;
const change = async (to: string, body: object = {}, method = 'POST') =>
  (await server.adminFetch(to, { method, body })).json;

describe('an empty deployment', () => {
  test('gets everything from twelve files, and exports the same bytes', async () => {
    const files = filesIn(example);
    expect(Object.keys(files).filter((name) => name.endsWith('.yaml'))).toHaveLength(12);
    const applied = await run(direct, 'apply', '-f', example, '--secrets-to', path('secrets.json'));
    expect(applied).toMatchObject({ code: 0, stderr: '' });
    expect((await run(direct, 'export', '-f', path('exported'))).code).toBe(0);
    expect(filesIn(path('exported'))).toEqual(files);
    const verified = await run(direct, 'audit', 'verify');
    expect(verified.code).toBe(0);
  });

  test('writes generated secrets once, to a new file that only its owner can read', async () => {
    expect(statSync(path('secrets.json')).mode & 0o777).toBe(0o600);
    secrets = JSON.parse(readFileSync(path('secrets.json'), 'utf8'));
    expect(secrets.map(({ name }) => name).sort()).toEqual(['Chat', 'Order import', 'Shop API', 'Warehouse']);
    const again = await run(direct, 'apply', '-f', example, '--secrets-to', path('secrets.json'));
    expect(again).toMatchObject({ code: 2, stderr: expect.stringContaining('exists already') });
  });

  test('is not changed by the same files again', async () => {
    expect(await run(direct, 'diff', '-f', example)).toMatchObject({ code: 0, stdout: 'Nothing changes.\n' });
    const again = await run(direct, 'apply', '-f', example, '--json');
    expect(JSON.parse(again.stdout)).toMatchObject({ changes: [], secrets_not_shown: 0 });
  });

  test('exports the bytes that were exported from another deployment and applied to it', async () => {
    const other = environmentOf(await createTestStores());
    const applied = await run(other, 'apply', '-f', path('exported'));
    expect(applied).toMatchObject({ code: 0, stderr: expect.stringContaining('4 of the generated secrets are shown') });
    expect((await run(other, 'export', '-f', path('again'))).code).toBe(0);
    expect(filesIn(path('again'))).toEqual(filesIn(path('exported')));
    expect(await run(other, 'export', '-f', path('again'))).toMatchObject({ code: 1 });
  });

  test('has the JSON Schema beside its files that the command line prints', async () => {
    const { stdout } = await run({}, 'schema');
    expect(stdout).toBe(readFileSync(join(example, 'keyturn.schema.json'), 'utf8'));
    expect(stdout).not.toContain('"client_secret"');
  });
});

describe('a running server', () => {
  beforeAll(async () => {
    server = await startAdminServer({ stores });
    const pipeline = { name: 'Pipeline', email: 'pipeline@example.com', permissions };
    const { id } = await change('/contacts', pipeline);
    remote = {
      KEYTURN_URL: server.adminUrl.replace('127.0.0.1', 'localhost'),
      KEYTURN_OPERATOR_TOKEN: (await change(`/contacts/${id}/operator-token`)).operator_token,
      KEYTURN_DATA_DIR: path('absent'),
    };
  });

  const warehouse = { kind: 'integration', name: 'Warehouse', owner: 'Ann Operator', access_token_ttl: 900 };
  const description = 'Sends orders to the warehouse.\nRuns every minute.\n';
  const idOf = (name: string) => secrets.find((each) => each.name === name)?.id ?? '';
  const secretOf = (name: string) => secrets.find((each) => each.name === name)?.secret ?? '';

  test('refuses a cut of what is in use, names the user, and makes it once it is accepted', async () => {
    const client = { id: idOf('Warehouse'), secret: secretOf('Warehouse') };
    await endpointsOf(server.publicUrl).accessToken(client);
    const file = write('cut.json', { ...warehouse, description, scope: 'orders:read' });
    const refused = await run(remote, 'apply', '-f', file);
    expect(refused).toMatchObject({ code: 3, stderr: expect.stringContaining('Nothing was changed.') });
    expect(refused.stdout).toContain('! it loses the scopes orders:update\n      used by 127.0.0.1');
    expect((await server.adminFetch(`/clients/${client.id}`)).json.scope).toBe('orders:read orders:update');
    const [, id = ''] = /--accept (\w{8})/.exec(refused.stdout) ?? [];
    expect((await run(remote, 'diff', '-f', file)).code).toBe(3);
    expect((await run(remote, 'apply', '-f', file, '--accept', id)).code).toBe(0);
    expect((await server.adminFetch(`/clients/${client.id}`)).json.scope).toBe('orders:read');
  });

  test('does not ask for what was not used in the last 30 days', async () => {
    const { changes } = await plan([
      { kind: 'integration', name: 'Order import', organization: 'acme', owner: 'Bo Acme', scope: 'orders:read' },
    ]);
    expect(changes).toMatchObject([{ cuts: [{ used_by: [] }, { used_by: [] }].slice(0, 1), needs_acceptance: false }]);
  });

  test('names file, line and member of what is wrong, and changes nothing then', async () => {
    mkdirSync(path('broken'));
    const good = 'kind: organization\nname: Never created\n';
    writeFileSync(path('broken/a.yaml'), `${good}---\nkind: integration\nname: Bad\nscpe: x\nlabels:\n  team: [1]\n`);
    writeFileSync(path('broken/b.yaml'), 'kind: contact\nname: No address\n');
    const schema = await run(remote, 'apply', '-f', path('broken'));
    expect(schema.code).toBe(1);
    expect(schema.stderr).toContain('broken/a.yaml:6: scpe: unknown field');
    expect(schema.stderr).toContain('broken/a.yaml:8: labels.team: must be text');
    expect(schema.stderr).toContain('broken/b.yaml:1: email: is required');
    writeFileSync(path('broken/a.yaml'), `${good}---\nkind: integration\nname: Bad\nscope: orders:fly\n`);
    rmSync(path('broken/b.yaml'));
    const rule = await run(remote, 'apply', '-f', path('broken'));
    expect(rule).toMatchObject({ code: 1, stderr: expect.stringMatching(/broken\/a\.yaml:6: scope: .*orders:fly/) });
    writeFileSync(path('broken/a.yaml'), 'kind: contact\nname: [Ann\nemail: x\n');
    const syntax = await run(remote, 'apply', '-f', path('broken'));
    expect(syntax).toMatchObject({ code: 1, stderr: expect.stringMatching(/broken\/a\.yaml:[23]: /) });
    expect((await server.adminFetch('/organizations?q=Never')).json.data).toEqual([]);
  });

  test('leaves no half behind if the command is killed in the middle', async () => {
    const documents = [
      { kind: 'organization', name: 'Killed' },
      { kind: 'integration', name: 'Killed', scope: 'orders:read' },
      { kind: 'webhook', name: 'Killed', url: 'https://killed.example/' },
    ];
    const file = write('killed.json', ...documents);
    const { unlimitedDatabase } = server.core;
    await unlimitedDatabase.transaction(async (transaction) => {
      await transaction.query('LOCK TABLE webhooks IN EXCLUSIVE MODE');
      const child = startCommand(['apply', '-f', file], direct);
      const end = ended(child);
      // It waits for the lock with its last change, after all others.
      await eventually(async () => {
        const waiting = await unlimitedDatabase.query(
          "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'webhooks'::regclass",
        );
        return waiting.length > 0;
      });
      child.kill('SIGKILL');
      await end;
    });
    expect((await server.adminFetch('/organizations?q=Killed')).json.data).toEqual([]);
    expect((await server.adminFetch('/clients?q=Killed')).json.data).toEqual([]);
    expect((await plan(documents)).changes.map(({ action }) => action)).toEqual(['create', 'create', 'create']);
  });

  test('applies only the plan that was made, as long as nothing else has changed', async () => {
    const documents = [{ ...warehouse, description: 'Planned', scope: 'orders:read' }];
    const { fingerprint, changes } = await plan(documents);
    expect(changes).toMatchObject([{ action: 'update', fields: [{ field: 'description' }] }]);
    await change(`/clients/${idOf('Warehouse')}`, { description: 'Changed by hand' }, 'PATCH');
    const late = await post('apply', { documents, fingerprint });
    expect(late).toMatchObject({ status: 409, json: { code: 'configuration_changed' } });
    const { fingerprint: now } = await plan(documents);
    expect((await post('apply', { documents, fingerprint: now })).status).toBe(200);
  });

  test('names the apply in each event of the audit log', async () => {
    const documents = [{ ...warehouse, description: 'Named', scope: 'orders:read' }];
    const { json: applied } = await post('apply', { documents });
    const { data } = (await server.adminFetch('/audit-events?limit=2')).json;
    expect(data).toMatchObject([
      {
        action: 'configuration.apply',
        target: applied.id,
        after: { changes: [{ name: 'Warehouse', action: 'update' }] },
      },
      {
        action: 'client.update',
        target: idOf('Warehouse'),
        after: { configuration: applied.id, description: 'Named' },
      },
    ]);
    expect((await post('apply', { documents })).json.changes).toEqual([]);
    expect((await server.adminFetch('/audit-events?limit=1')).json.data[0].target).toBe(applied.id);
  });

  test('takes a scope from its holders and from its API in one apply', async () => {
    const api = {
      kind: 'resource_server',
      name: 'Depot API',
      resource: 'https://depot.example',
      information: ['racks'],
    };
    const scopes = [
      { name: 'racks.move', description: 'Move racks.' },
      { name: 'racks.old', description: 'Old.' },
    ];
    const forklift = { kind: 'integration', name: 'Forklift' };
    const depot = { kind: 'organization', name: 'Depot', external_id: 'depot' };
    const ceiling = (scope: string) => ({ ceiling: { scopes: [{ resource: api.resource, scope }] } });
    const first = [
      { ...api, scopes },
      { ...depot, ...ceiling('racks:read racks.old') },
      { ...forklift, scope: 'racks:read racks.old' },
      { ...forklift, organization: 'depot', scope: 'racks.old' },
    ];
    expect((await post('apply', { documents: first })).status).toBe(200);
    const [moved] = scopes;
    const next = [
      { ...api, scopes: [moved, { name: 'racks.count', description: 'Count racks.' }] },
      { ...depot, ...ceiling('racks.count') },
      { ...forklift, scope: 'racks:read racks.move' },
      { ...forklift, organization: 'depot', scope: 'racks.count' },
    ];
    const { status, json } = await post('apply', { documents: next });
    expect([status, json.changes?.length]).toEqual([200, 4]);
    expect((await plan(next)).changes).toEqual([]);
  });

  test('keeps an emergency stop, unless a file says otherwise', async () => {
    await change(`/clients/${idOf('Warehouse')}/disable`);
    const document = { ...warehouse, description: 'Named', scope: 'orders:read' };
    expect((await plan([document])).changes).toEqual([]);
    expect((await plan([{ ...document, status: 'enabled' }])).changes).toMatchObject([
      { fields: [{ field: 'status', before: 'disabled', after: 'enabled' }] },
    ]);
  });

  test('rotates what a client authenticates with, so that the previous secret works on', async () => {
    const file = write('rotate.json', {
      kind: 'integration',
      name: 'Order import',
      organization: 'acme',
      owner: 'Bo Acme',
      scope: 'orders:read orders:create',
      auth_method: 'client_secret_post',
    });
    const applied = await run(remote, 'apply', '-f', file, '--secrets-to', path('rotated.json'));
    expect([applied.code, applied.stderr]).toEqual([0, '']);
    const { secrets: live } = (await server.adminFetch(`/clients/${idOf('Order import')}`)).json;
    expect(live.map(({ status }: { status: string }) => status).sort()).toEqual(['current', 'retiring']);
    expect((await run(remote, 'diff', '-f', file)).code).toBe(0);
  });

  test('deletes what no file has only with --prune, and each of it must be accepted', async () => {
    const contact = await change('/contacts', { name: 'Forgotten', email: 'forgotten@example.com' });
    await change('/webhooks', { name: 'Forgotten', url: 'https://forgotten.example/' });
    const { documents } = (await server.adminFetch('/configuration')).json;
    const kept = (documents as Document[]).filter(({ name }) => name !== 'Forgotten');
    expect(await plan(kept)).toMatchObject({ changes: [] });
    const { changes } = await plan(kept, { prune: true });
    expect(changes.map(({ action, name }) => [action, name])).toEqual([
      ['delete', 'Forgotten'],
      ['delete', 'Forgotten'],
    ]);
    expect((await post('apply', { documents: kept, prune: true, accept: [changes[0]?.id] })).status).toBe(428);
    expect((await server.adminFetch(`/contacts/${contact.id}`)).status).toBe(200);
    expect((await post('apply', { documents: kept, prune: true, accept: changes.map(({ id }) => id) })).status).toBe(
      200,
    );
    expect((await server.adminFetch(`/contacts/${contact.id}`)).status).toBe(404);
  });

  test('lets the bounded token of an organization apply only what is of that organization', async () => {
    const { data } = (await server.adminFetch('/organizations?q=acme')).json;
    const { json: owner } = await server.adminFetch('/contacts', {
      method: 'POST',
      body: {
        name: 'Acme operator',
        email: 'op@acme.example',
        organization_id: data[0].id,
        permissions: ['integrations:view', 'integrations:edit', 'api_key:manage'],
      },
    });
    const { operator_token: token } = await change('/operator-tokens', {
      contact_id: owner.id,
      name: 'Pipeline',
      permissions: ['integrations:view', 'integrations:edit', 'api_key:manage'],
    });
    const bounded = { ...remote, KEYTURN_OPERATOR_TOKEN: token as string };
    // All of its own documents are the whole configuration that it sees.
    expect((await run(bounded, 'export', '-f', path('acme'))).code).toBe(0);
    const same = await run(bounded, 'diff', '-f', path('acme'), '--prune');
    expect([same.stdout, same.stderr]).toEqual(['Nothing changes.\n', '']);
    const own = write('own.json', { kind: 'integration', name: 'From pipeline', scope: 'orders:read' });
    expect((await run(bounded, 'apply', '-f', own)).code).toBe(0);
    const { json: found } = await server.adminFetch('/clients?q=pipeline');
    expect(found.data).toMatchObject([{ name: 'From pipeline', organization_id: data[0].id }]);
    for (const document of [
      { kind: 'resource_server', name: 'Mine', resource: 'https://mine.example' },
      { kind: 'organization', name: 'Mine' },
      { kind: 'integration', name: 'Of another', organization: 'Depot', scope: 'orders:read' },
      { kind: 'contact', name: 'Mine', email: 'mine@acme.example', permissions: ['contacts:manage'] },
    ]) {
      expect((await run(bounded, 'apply', '-f', write('foreign.json', document))).code).toBe(1);
    }
    const foreign = [...(await server.adminFetch('/clients?q=mine')).json.data];
    expect(foreign).toEqual([]);
    cpSync(path('acme'), path('acme-less'), { recursive: true });
    const pruned = await run(bounded, 'diff', '-f', own, '--prune', '--json');
    const names = (JSON.parse(pruned.stdout) as Plan).changes.map(({ name, action }) => `${action} ${name}`);
    expect(names).toContain('delete Order import');
    expect(names.filter((name) => /Warehouse|Shop API|Ann Operator|Acme operator/.test(name))).toEqual([]);
  });

  test('plans with a token that may only view, and says which permissions it lacks', async () => {
    const viewer = await server.operatorToken(['integrations:view']);
    const documents = [{ kind: 'contact', name: 'New', email: 'new@example.com' }];
    expect((await plan(documents, {}, viewer)).changes).toMatchObject([
      { action: 'create', lacks: expect.stringContaining('contacts:manage') },
    ]);
    expect((await post('apply', { documents }, viewer)).status).toBe(403);
  });
});
