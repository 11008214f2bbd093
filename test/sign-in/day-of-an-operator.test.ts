import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Environment, runCommand } from '../cli/run-command.ts';
import { type ConsoleServer, startConsole } from '../console/console-server.ts';
import { eventually } from '../eventually.ts';
import { createBrowser, leadsTo, type OpenidProvider, startOpenidProvider } from './openid-provider.ts';

const minute = 60_000;
let moved = 0;
let provider: OpenidProvider;
let server: ConsoleServer;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'keyturn-day-'));
  provider = await startOpenidProvider();
  for (const name of ['Ann', 'Bob']) {
    const email = `${name.toLowerCase()}@example.com`;
    provider.people.set(name, { email, email_verified: true, name, groups: ['admins'] });
  }
  server = await startConsole({
    clock: () => Date.now() + moved,
    env: {
      KEYTURN_SSO_ALLOWED_NETWORKS: '127.0.0.0/8',
      KEYTURN_SSO_ISSUER: provider.issuer,
      KEYTURN_SSO_CLIENT_ID: provider.clientId,
      KEYTURN_SSO_CLIENT_SECRET: provider.clientSecret,
      KEYTURN_SSO_SCOPE: 'openid profile email groups offline_access',
      KEYTURN_SSO_GRANTS: 'admins=all',
    },
  });
});
afterAll(async () => {
  await server?.close();
  await provider?.close();
  rmSync(folder, { recursive: true, force: true });
});

type Browser = ReturnType<typeof createBrowser>;
const at = (path: string) => `${server.adminUrl}/console${path}`;

/** Signs a person in to the console at the identity provider. */
async function signIn(account: string) {
  const browser = createBrowser();
  const left = await browser.send(at('/sign-in/with/deployment'), {});
  const form = await browser.open(leadsTo(left.text));
  return { browser, ...(await browser.send(form.url, { account })) };
}

const isSignedIn = async (browser: Browser) => (await browser.ask(at('/sessions'))).response.status === 200;
const api = async (method: string, path: string, body?: object) =>
  (await server.adminFetch(path, { method, ...(body ? { body } : {}) })).json;

/** Returns the environment of the command line with an operator token. */
const commandLine = (token: string): Environment => ({
  KEYTURN_URL: server.adminUrl,
  KEYTURN_OPERATOR_TOKEN: token,
  KEYTURN_DATA_DIR: join(folder, 'absent'),
});

test('operators sign in, approve, clear the posture and apply files, and one who leaves has no way in', async () => {
  const [{ browser: ann }, { browser: bob }] = [await signIn('Ann'), await signIn('Bob')];
  expect([await isSignedIn(ann), await isSignedIn(bob)]).toEqual([true, true]);
  const { client_id: id, client_secret: secret } = await api('POST', '/clients', { name: 'Sync', kind: 'integration' });

  // Ann needs the secret again, and Bob approves.
  await api('PATCH', '/approvals/settings', { reveal_hours: 0 });
  const reveal = at(`/clients/${id}/reveal`);
  const asked = await ann.send(reveal, {});
  const [, request = ''] = /href="\/console(\/approvals\/[^"]+)"/.exec(asked.text) ?? [];
  expect([asked.status, request]).toEqual([409, expect.stringContaining('/approvals/')]);
  expect(asked.text).not.toContain(secret);
  await ann.send(at(`${request}/decide`), { verdict: 'approve', note: '' });
  expect((await ann.send(reveal, {})).text).not.toContain(secret);
  await bob.send(at(`${request}/decide`), { verdict: 'approve', note: 'Go on.' });
  expect((await ann.send(reveal, {})).text).toContain(secret);
  expect((await ann.send(reveal, {})).status).toBe(409);

  // The posture has a warning, which the files of a pipeline clear with a token of Ann that has limits.
  const contactOf = async (name: string) => (await api('GET', `/contacts?q=${name}`)).data[0].id as string;
  const issued = await api('POST', '/operator-tokens', {
    contact_id: await contactOf('ann'),
    name: 'Pipeline',
    permissions: ['integrations:view', 'integrations:edit'],
  });
  expect(Date.parse(issued.expires_at)).toBeGreaterThan(Date.now());
  const pipeline = commandLine(issued.operator_token);
  const operator = commandLine(await server.operatorToken());
  expect((await runCommand(['policies', 'set', 'owner_required', '--stage', 'warn'], operator)).code).toBe(0);
  const posture = await runCommand(['posture', '--json'], pipeline);
  expect([posture.code, JSON.parse(posture.stdout).data]).toMatchObject([3, [{ client_id: id }]]);
  const file = join(folder, 'sync.yaml');
  writeFileSync(file, 'kind: integration\nname: Sync\nowner: Bob\n');
  expect((await runCommand(['diff', '-f', file], pipeline)).code).toBe(3);
  expect(await runCommand(['apply', '-f', file], pipeline)).toMatchObject({ code: 0, stderr: '' });
  expect((await runCommand(['diff', '-f', file], pipeline)).code).toBe(0);
  expect((await runCommand(['posture', '--json'], pipeline)).code).toBe(0);
  const beyond = join(folder, 'beyond.yaml');
  writeFileSync(beyond, 'kind: contact\nname: Eve\nemail: eve@example.com\npermissions: [contacts:manage]\n');
  expect((await runCommand(['apply', '-f', beyond], pipeline)).code).toBe(1);

  // Ann leaves: she is removed at the provider, which tells nobody, and her contact and her tokens stay.
  provider.people.delete('Ann');
  moved += minute;
  await eventually(async () => !(await isSignedIn(ann)));
  expect((await signIn('Ann')).status).toBe(401);
  for (const line of [['posture'], ['apply', '-f', file]]) {
    expect(await runCommand(line, pipeline)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('operator token'),
    });
  }
  expect(await isSignedIn(bob)).toBe(true);
  const [leaver] = (await api('GET', '/contacts?q=ann')).data;
  expect(leaver).toMatchObject({ email: 'ann@example.com', permissions: [] });
  const told = await runCommand(['audit', 'list', '--action', 'contact.end_by_provider', '--json'], operator);
  expect(JSON.parse(told.stdout).data).toMatchObject([{ actor: 'identity-provider:deployment', target: leaver.id }]);
});
