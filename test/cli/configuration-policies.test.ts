import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { permissions } from '../../src/contacts/contact.ts';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { type Environment, runCommand } from './run-command.ts';

type Document = Record<string, unknown>;

let folder: string;
let server: AdminServer;
let ann: Environment;
let bob: Environment;

const path = (name: string) => join(folder, name);

function write(...documents: Document[]): string {
  writeFileSync(path('files.json'), JSON.stringify(documents));
  return path('files.json');
}

const post = async (to: string, body: object = {}) => (await server.adminFetch(to, { method: 'POST', body })).json;
const policies = async () => (await server.adminFetch('/policies')).json.data;

/** Returns the environment of the command line of a new person. */
async function person(name: string, more: object = {}): Promise<Environment> {
  const contact = await post('/contacts', { name, email: `${name}@example.com`, permissions, ...more });
  const { operator_token: token } = await post(`/contacts/${contact.id}/operator-token`);
  const url = server.adminUrl.replace('127.0.0.1', 'localhost');
  return { KEYTURN_URL: url, KEYTURN_OPERATOR_TOKEN: token, KEYTURN_DATA_DIR: path('absent') };
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'keyturn-policies-'));
  server = await startAdminServer();
  [ann, bob] = [await person('ann'), await person('bob')];
});
afterAll(async () => {
  await server?.close();
  rmSync(folder, { recursive: true, force: true });
});

test('a document sets, changes and removes the policies of the deployment and of an organization', async () => {
  const file = write(
    { kind: 'organization', name: 'Acme', external_id: 'acme' },
    { kind: 'policies', secret_age: { stage: 'warn', days: 365 }, owner_required: { stage: 'report' } },
    { kind: 'policies', organization: 'acme', unused: { stage: 'enforce', days: 90 }, approvals: { acts: ['delete'] } },
  );
  const different = await runCommand(['diff', '-f', file], ann);
  expect(different).toMatchObject({ code: 3, stdout: expect.stringContaining('~ policies "policies" (acme)') });
  expect(await runCommand(['diff', '-f', file, '--prnue'], ann)).toMatchObject({ code: 2 });
  expect(await runCommand(['diff'], ann)).toMatchObject({ code: 2 });
  expect(await runCommand(['apply', '-f', file], ann)).toMatchObject({ code: 0, stderr: '' });
  expect(await policies()).toMatchObject([
    { name: 'owner_required', stage: 'report', days: null, grace_days: null },
    { name: 'secret_age', stage: 'warn', days: 365, grace_days: 14 },
    { name: 'unused', stage: 'enforce', days: 90 },
  ]);
  expect(await runCommand(['diff', '-f', file], ann)).toMatchObject({ code: 0, stdout: 'Nothing changes.\n' });
  expect((await runCommand(['export', '-f', path('exported')], ann)).code).toBe(0);
  expect(readFileSync(path('exported/acme/policies.yaml'), 'utf8')).toBe(
    `# yaml-language-server: $schema=../keyturn.schema.json
kind: policies
organization: acme
unused:
  stage: enforce
  days: 90
approvals:
  acts:
    - delete
`,
  );
  const fewer = write(
    { kind: 'policies', secret_age: { stage: 'warn', days: 180, grace_days: 30 } },
    { kind: 'policies', organization: 'acme' },
  );
  expect((await runCommand(['apply', '-f', fewer], ann)).code).toBe(0);
  expect(await policies()).toMatchObject([{ name: 'secret_age', days: 180, grace_days: 30 }]);
  expect(await runCommand(['diff', '-f', path('exported')], ann)).toMatchObject({ code: 3 });
});

test('a document is checked as a request of the admin API is', async () => {
  for (const [rule, message] of [
    [{ secret_age: { stage: 'warn' } }, 'secret_age.days'],
    [{ owner_required: { stage: 'warn', days: 3 } }, 'owner_required.days'],
    [{ owner_required: { stage: 'off' } }, 'owner_required.stage'],
    [{ approvals: { acts: ['fly'] } }, 'approvals.acts'],
  ] as const) {
    const refused = await runCommand(['apply', '-f', write({ kind: 'policies', ...rule })], ann);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining(message) });
  }
});

test('policies are loosened before the other documents are applied, and enforced after them', async () => {
  const client = (name: string) => ({ kind: 'integration', name });
  const strict = { kind: 'policies', keys_only: { stage: 'enforce' } };
  expect((await runCommand(['apply', '-f', write(strict, client('Before'))], ann)).code).toBe(0);
  const refused = await runCommand(['apply', '-f', write(strict, client('Before'), client('Between'))], ann);
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('authenticate with a key') });
  const loose = { kind: 'policies', keys_only: { stage: 'warn' } };
  expect((await runCommand(['apply', '-f', write(client('After'), loose)], ann)).code).toBe(0);
  expect(await policies()).toMatchObject([{ name: 'keys_only', stage: 'warn' }]);
});

test('apply requests the approval of a second person, and the same command goes through after it', async () => {
  await runCommand(['approvals', 'settings', '--act', 'policies,delete'], ann);
  const file = write({ kind: 'policies', keys_only: { stage: 'report' }, approvals: { acts: ['policies', 'delete'] } });
  const plan = await runCommand(['diff', '-f', file], ann);
  expect(plan).toMatchObject({ code: 3, stdout: expect.stringContaining('! a second person has to approve this') });
  expect((await server.adminFetch('/approvals')).json.data).toEqual([]);
  const asked = await runCommand(['apply', '-f', file], ann);
  const [, id = ''] = /keyturn approvals approve ([0-9a-f-]{36})/.exec(asked.stderr) ?? [];
  expect([asked.code, id]).toEqual([4, expect.stringMatching(/.{36}/)]);
  expect((await runCommand(['apply', '-f', file], ann)).stderr).toContain(id);
  expect(await policies()).toMatchObject([{ name: 'keys_only', stage: 'warn' }]);

  expect((await runCommand(['approvals', 'approve', id], ann)).code).toBe(1);
  expect((await runCommand(['approvals', 'approve', id], bob)).code).toBe(0);
  // Neither another person nor other files can use it.
  expect((await runCommand(['apply', '-f', file], bob)).code).toBe(4);
  const other = { kind: 'policies', keys_only: { stage: 'enforce' }, approvals: { acts: ['policies', 'delete'] } };
  writeFileSync(path('other.json'), JSON.stringify(other));
  const refused = await runCommand(['apply', '-f', path('other.json'), '--json'], ann);
  expect([refused.code, JSON.parse(refused.stdout)]).toMatchObject([4, { approvals: [{ act: 'policies' }] }]);
  // The response is checked against the OpenAPI document.
  const request = { method: 'POST', token: ann['KEYTURN_OPERATOR_TOKEN'], body: { documents: [other] } };
  expect((await server.adminFetch('/configuration/apply', request)).json).toMatchObject({
    code: 'approval_required',
    approvals: [{ act: 'policies', state: 'pending', name: expect.any(String) }],
    review: { changes: [{ kind: 'policies' }] },
  });
  expect((await runCommand(['apply', '-f', file], ann)).code).toBe(0);
  expect(await policies()).toMatchObject([{ name: 'keys_only', stage: 'report' }]);
  expect(await runCommand(['apply', '-f', file], ann)).toMatchObject({ code: 0, stdout: 'Nothing changes.\n' });
  expect((await server.adminFetch(`/approvals/${id}`)).json.state).toBe('used');
});

test('apply requests the approval of everything at once, but of nothing that is not accepted', async () => {
  const kept = (await server.adminFetch('/configuration')).json.documents as Document[];
  const file = write(...kept.filter(({ kind }) => kind !== 'integration'));
  const requests = async () => (await server.adminFetch('/approvals?state=pending')).json.data.length;
  const before = await requests();
  expect((await runCommand(['apply', '-f', file, '--prune'], ann)).code).toBe(3);
  expect(await requests()).toBe(before);
  const line = ['apply', '-f', file, '--prune', '--accept', 'all'];
  const asked = await runCommand(line, ann);
  const ids = [...asked.stderr.matchAll(/approve ([0-9a-f-]{36})/g)].map(([, id = '']) => id);
  expect([asked.code, ids.length]).toEqual([4, 2]);
  expect((await runCommand(['approvals', 'approve', ids[0] ?? ''], bob)).code).toBe(0);
  expect((await runCommand(line, ann)).code).toBe(4);
  expect((await server.adminFetch('/clients')).json.data).toHaveLength(2);
  expect((await runCommand(['approvals', 'approve', ids[1] ?? ''], bob)).code).toBe(0);
  expect((await runCommand(line, ann)).code).toBe(0);
  expect((await server.adminFetch('/clients')).json.data).toEqual([]);
});

test('settings of the deployment apply to the files of an organization, which does not see them', async () => {
  const [acme] = (await server.adminFetch('/organizations?q=acme')).json.data;
  const operator = await person('op', { organization_id: acme.id });
  await post('/clients', { name: 'Of Acme', kind: 'integration', organization_id: acme.id });
  const file = write({ kind: 'contact', name: 'op', email: 'op@example.com', permissions });
  const pruned = await runCommand(['apply', '-f', file, '--prune', '--accept', 'all'], operator);
  expect(pruned).toMatchObject({ code: 4, stderr: expect.stringContaining('delete: Of Acme') });
  expect((await server.adminFetch('/clients')).json.data).toHaveLength(1);
});

test('policies of an organization that the same files create need it to exist before they can be approved', async () => {
  const file = write(
    { kind: 'organization', name: 'New' },
    { kind: 'policies', organization: 'New', keys_only: { stage: 'warn' } },
  );
  const refused = await runCommand(['apply', '-f', file], ann);
  expect(refused).toMatchObject({ code: 4, stderr: expect.stringContaining('Create it first, without them.') });
  expect((await server.adminFetch('/organizations?q=New')).json.data).toEqual([]);
});
