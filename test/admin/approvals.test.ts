import type { Permission } from '../../src/contacts/contact.ts';
import { permissions as all } from '../../src/contacts/contact.ts';
import { deleteContact } from '../../src/contacts/contact-store.ts';
import { runCommand } from '../cli/run-command.ts';
import { type ConsoleServer, startConsole } from '../console/console-server.ts';

const hour = 3_600_000;
let now = Date.now();
let server: ConsoleServer;
type Person = { id: string; token: string };
let ann: Person;
let bob: Person;

const call = (method: string, path: string, person: Person | { token: string }, body?: object, approval?: string) =>
  server.adminFetch(path, {
    method,
    token: person.token,
    ...(body ? { body } : {}),
    headers: approval ? { 'keyturn-approval': approval } : {},
  });

/** Creates a person with an address of their own. By default, somebody else than Ann and Bob has given them access. */
async function person(name: string, permissions: readonly Permission[] = all, organization?: string, by?: Person) {
  const body = { name, email: `${name}@example.com`, permissions, organization_id: organization };
  const token = by?.token;
  const { json } = await server.adminFetch('/contacts', { method: 'POST', token, body });
  const issued = await server.adminFetch(`/contacts/${json.id}/operator-token`, { method: 'POST', token });
  return { id: json.id as string, token: issued.json.operator_token as string };
}

async function client(more: object = {}): Promise<string> {
  const body = { name: 'Sync', kind: 'integration', ...more };
  return (await server.adminFetch('/clients', { method: 'POST', body })).json.client_id;
}

/** Asks for something that needs approval. Returns the id of the request. */
async function ask(method: string, path: string, by: Person, body?: object): Promise<string> {
  const { status, json } = await call(method, path, by, body);
  expect([status, json.code]).toEqual([409, 'approval_required']);
  return json.approval.id;
}

const approve = async (id: string, by: Person) => (await call('POST', `/approvals/${id}/approve`, by, {})).status;
const settings = (body: object, by: Person | { token: string } = ann) => call('PATCH', '/approvals/settings', by, body);
const eventsOf = async (target: string, action: string): Promise<object[]> =>
  (await server.adminFetch(`/audit-events?target=${target}&action=${action}`)).json.data;

beforeAll(async () => {
  server = await startConsole({ clock: () => now });
  const alone = await settings({ acts: ['revoke_all'] }, { token: await server.operatorToken() });
  expect([alone.status, alone.json.code]).toEqual([409, 'too_few_approvers']);
  [ann, bob] = [await person('ann'), await person('bob')];
  expect((await settings({ acts: ['revoke_all', 'delete', 'root_key'], reveal_hours: 24 })).status).toBe(200);
});
afterAll(() => server?.close());

// First, because commands use the time of the machine.
test('a rotation of the root key needs approval by a contact, which the command line on the stores is not', async () => {
  const { databaseUrl, redisUrl, rootKey } = server.stores;
  const direct = { DATABASE_URL: databaseUrl, REDIS_URL: redisUrl, KEYTURN_ROOT_KEY: rootKey };
  const rotation = await runCommand(['root-key', 'rotate'], direct);
  const ofKey = /--approval ([0-9a-f-]{36})/.exec(rotation.stderr)?.[1] ?? '';
  expect(rotation.code).toBe(1);
  expect((await runCommand(['approvals', 'approve', ofKey], direct)).code).toBe(1);
  expect(await approve(ofKey, bob)).toBe(200);
  expect((await runCommand(['root-key', 'rotate', '--approval', ofKey], direct)).code).toBe(0);
  expect((await runCommand(['root-key', 'rotate', '--approval', ofKey], direct)).code).toBe(1);
});

test('an act goes through once, for its requester, after another person has approved exactly this act', async () => {
  const [id, other] = [await client(), await client()];
  const path = `/clients/${id}/tokens/revoke`;
  const approval = await ask('POST', path, ann);
  expect(await ask('POST', path, ann)).toBe(approval);
  expect((await call('POST', path, ann, {}, approval)).json.code).toBe('approval_not_usable');
  expect(await approve(approval, ann)).toBe(403);
  expect(await approve(approval, bob)).toBe(200);
  for (const [wrongPath, by] of [
    [`/clients/${other}/tokens/revoke`, ann],
    [path, bob],
  ] as const) {
    expect((await call('POST', wrongPath, by, {}, approval)).json.code).toBe('approval_not_usable');
  }
  const answers = await Promise.all([1, 2, 3].map(() => call('POST', path, ann, {}, approval)));
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 409, 409]);
  expect((await call('GET', `/approvals/${approval}`, ann)).json).toMatchObject({ state: 'used', decided_by: 'bob' });
  for (const verb of ['request', 'approve', 'use']) expect(await eventsOf(id, `approval.${verb}`)).toHaveLength(1);
  expect((await server.adminFetch(`/notices?subject=${id}`)).json.data).toMatchObject([
    { kind: 'approval_decided' },
    { kind: 'approval_requested', data: { approval: { id: approval } } },
  ]);
});

test('an act that fails does not use up its approval', async () => {
  const id = await client();
  const approval = await ask('DELETE', `/clients/${id}`, ann);
  expect(await approve(approval, bob)).toBe(200);
  expect((await call('DELETE', `/clients/${id}`, ann, undefined, approval)).json.code).not.toMatch(/^approval/);
  await call('POST', `/clients/${id}/disable`, ann, {});
  expect((await call('DELETE', `/clients/${id}`, ann, undefined, approval)).status).toBe(204);
});

test('deleting a contact and an organization needs approval too', async () => {
  const { json } = await server.adminFetch('/organizations', { method: 'POST', body: { name: 'Acme' } });
  const { id } = await person('zoe', []);
  for (const path of [`/contacts/${id}`, `/organizations/${json.id}`]) {
    const approval = await ask('DELETE', path, ann);
    expect(await approve(approval, bob)).toBe(200);
    expect((await call('DELETE', path, ann, undefined, approval)).status).toBe(204);
  }
});

test('erasing a deleted contact in the audit log needs approval by the console and the command line too', async () => {
  const later = await settings({ acts: ['revoke_all', 'delete', 'root_key', 'erase'] });
  expect([later.status, later.json.code]).toEqual([200, undefined]);
  const { id } = await person('yves', []);
  await server.core.change((transaction) => deleteContact(transaction, id, new Date(now)));
  const body = { contact_id: id };
  const approval = await ask('POST', '/audit-events/erase', ann, body);
  expect((await call('GET', `/approvals/${approval}`, bob)).json).toMatchObject({
    act: 'erase',
    subject: { type: 'deleted_contact', id, name: 'Deleted contact' },
  });
  const notices = (await server.adminFetch(`/notices?subject=${id}&kind=approval_requested`)).json.data;
  expect(notices).toMatchObject([{ subject: { type: 'deleted_contact', id } }]);

  const cookie = await server.signIn(ann.token);
  const erase = () => server.send('/console/audit/erase', { contact: id, name: 'yves' }, cookie);
  const refused = await erase();
  expect([refused.status, refused.text.includes(`/console/approvals/${approval}`)]).toEqual([409, true]);
  const environment = { KEYTURN_URL: server.adminUrl, KEYTURN_OPERATOR_TOKEN: ann.token };
  const line = ['audit', 'erase', id, '--yes'];
  expect(await runCommand(line, environment)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining(`--approval ${approval}`),
  });
  expect(await approve(approval, bob)).toBe(200);
  expect((await call('POST', '/audit-events/erase', ann, { contact_id: ann.id }, approval)).json.code).toBe(
    'approval_not_usable',
  );
  const done = await runCommand([...line, '--approval', approval], environment);
  expect([done.code, done.stdout]).toEqual([0, expect.stringContaining('Erased')]);
  expect((await erase()).status).toBe(409);
  await settings({ acts: ['revoke_all', 'delete', 'root_key'] });
});

test('an organization cannot guard the erasure, which is of the deployment', async () => {
  const { json } = await server.adminFetch('/organizations', { method: 'POST', body: { name: 'Guarded' } });
  const refused = await settings({ organization_id: json.id, acts: ['erase'] });
  expect([refused.status, refused.json.detail]).toEqual([400, expect.stringContaining('belong to the deployment')]);
});

test('a request and an approval expire, and a refused request stays refused', async () => {
  const id = await client();
  const path = `/clients/${id}/tokens/revoke`;
  const first = await ask('POST', path, ann);
  now += 72 * hour;
  expect(await approve(first, bob)).toBe(409);
  const second = await ask('POST', path, ann);
  expect(await approve(second, bob)).toBe(200);
  now += 24 * hour;
  expect((await call('POST', path, ann, {}, second)).json.code).toBe('approval_not_usable');
  const listed = await call('GET', `/approvals?subject=${id}`, ann);
  expect(listed.json.data).toMatchObject([
    { id: second, state: 'expired' },
    { id: first, state: 'expired' },
  ]);
  expect(await eventsOf(id, 'approval.expire')).toHaveLength(2);

  const third = await ask('POST', path, ann);
  expect((await call('PATCH', `/approvals/${third}`, ann, { reason: 'A leak.' })).json.reason).toBe('A leak.');
  expect((await call('PATCH', `/approvals/${third}`, bob, { reason: 'Mine.' })).status).toBe(403);
  expect((await call('POST', `/approvals/${third}/refuse`, bob, { note: 'No.' })).json.state).toBe('refused');
  expect(await approve(third, bob)).toBe(409);
  expect((await call('POST', path, ann, {}, third)).json.code).toBe('approval_not_usable');
  const fourth = await ask('POST', path, ann);
  expect((await call('POST', `/approvals/${fourth}/refuse`, ann, {})).json.state).toBe('withdrawn');
});

test('nobody approves their own request: not with another token, another contact, or access that they have given', async () => {
  const approval = await ask('POST', `/clients/${await client()}/tokens/revoke`, ann);
  const named = await call('POST', '/operator-tokens', ann, { name: 'Other' });
  expect(await approve(approval, { id: ann.id, token: named.json.operator_token })).toBe(403);
  expect(await approve(approval, await person('ann'))).toBe(403);
  const puppet = await person('puppet', all, undefined, ann);
  expect(await approve(approval, puppet)).toBe(403);
  const glass = await call('POST', '/operator-tokens', bob, { name: 'Glass', break_glass: true });
  expect(await approve(approval, { id: bob.id, token: glass.json.operator_token })).toBe(403);
  for (const lacking of [
    await person('eve', ['contacts:manage', 'audit:view']),
    await person('leo', ['integrations:view']),
  ]) {
    expect((await call('GET', `/approvals/${approval}`, lacking)).status).toBe(404);
    expect(await approve(approval, lacking)).toBe(404);
  }
  now += 7 * 24 * hour;
  const later = await ask('POST', `/clients/${await client()}/tokens/revoke`, ann);
  expect(await approve(later, puppet)).toBe(200);
});

test('a secret is shown again within the hours after its generation, and later after approval', async () => {
  const id = await client();
  const path = `/clients/${id}/secret/reveal`;
  expect((await call('POST', path, ann, {})).status).toBe(200);
  now += 24 * hour;
  const approval = await ask('POST', path, ann);
  expect(await approve(approval, bob)).toBe(200);
  expect((await call('POST', path, ann, {}, approval)).json.client_secret).toMatch(/^kts_/);
  expect((await call('POST', path, ann, {}, approval)).status).toBe(409);
  const regenerated = await call('POST', `/clients/${id}/regeneration/review`, ann, {});
  await call('POST', `/clients/${id}/regenerate`, ann, { confirmation: regenerated.json.confirmation });
  expect((await call('POST', path, ann, {})).status).toBe(200);
});

test('an operator token for emergencies needs no approval, which is an alarm', async () => {
  const id = await client();
  const { json } = await call('POST', '/operator-tokens', ann, { name: 'Glass', break_glass: true });
  const path = `/clients/${id}/tokens/revoke`;
  expect((await call('POST', path, { token: json.operator_token }, {})).status).toBe(200);
  expect(await eventsOf(id, 'approval.bypass')).toMatchObject([{ actor: ann.id, after: { act: 'revoke_all' } }]);
  const { data } = (await server.adminFetch(`/notices?subject=${id}`)).json;
  expect(data).toMatchObject([{ kind: 'approval_bypassed' }]);
});

test('requests of an organization stay in it, and its settings add to those of the deployment', async () => {
  const { id: acme } = (await server.adminFetch('/organizations', { method: 'POST', body: { name: 'Acme' } })).json;
  const { id: other } = (await server.adminFetch('/organizations', { method: 'POST', body: { name: 'Other' } })).json;
  const [one, two] = [await person('one', all, acme), await person('two', all, acme)];
  const stranger = await person('stranger', all, other);
  const mine = { organization_id: acme };
  expect((await settings({ acts: ['policies'] }, one)).json.effective).toEqual({
    acts: ['revoke_all', 'delete', 'root_key', 'policies'],
    reveal_hours: 24,
  });
  expect((await settings({ acts: ['root_key'], ...mine }, ann)).json.code).toBe('approval_required');
  const approval = await ask('PATCH', '/approvals/settings', one, { acts: [] });
  expect((await call('GET', '/approvals', stranger)).json.data).toEqual([]);
  expect(await approve(approval, stranger)).toBe(404);
  expect(await approve(approval, two)).toBe(200);
  expect((await call('PATCH', '/approvals/settings', one, { acts: [] }, approval)).json.acts).toEqual([]);

  const id = await client(mine);
  const ofDeployment = await ask('POST', `/clients/${id}/tokens/revoke`, ann);
  expect((await call('GET', '/approvals?state=pending', one)).json.data).toEqual([]);
  expect(await approve(ofDeployment, one)).toBe(404);
  const ofAcme = await ask('POST', `/clients/${id}/tokens/revoke`, one);
  expect(await approve(ofAcme, bob)).toBe(200);
});

test('the console asks, shows the request to those who may approve it, and carries it out after that', async () => {
  const id = await client({ name: 'Console sync' });
  const [asAnn, asBob] = [await server.signIn(ann.token), await server.signIn(bob.token)];
  const path = `/console/clients/${id}/revoke-tokens`;
  const asked = await server.send(path, {}, asAnn);
  const at = /href="(\/console\/approvals\/[^"]+)"/.exec(asked.text)?.[1] ?? '';
  expect([asked.status, at]).toEqual([409, expect.stringContaining('/console/approvals/')]);
  await server.send(`${at}/explain`, { reason: 'It has leaked.' }, asAnn);
  expect((await server.look('/console/', asBob)).text).toContain('ann requests the approval of a second person');
  expect((await server.look('/console/', asAnn)).text).not.toContain(at);
  expect((await server.look(at, asBob)).text).toContain('It has leaked.');
  const approved = await server.sendAndLook(`${at}/decide`, { verdict: 'approve', note: 'Go on.' }, asBob);
  expect(approved.text).toContain('The requester can carry it out once');
  expect((await server.look(at, asAnn)).text).toContain('You can carry it out once');
  expect((await server.send(path, {}, asAnn)).status).toBe(303);
  expect((await server.send(path, {}, asAnn)).status).toBe(409);
});

test('a command says how to get approval, and goes through with --approval', async () => {
  const id = await client();
  const remote = { KEYTURN_URL: server.adminUrl };
  const as = ({ token }: Person) => ({ ...remote, KEYTURN_OPERATOR_TOKEN: token });
  const line = ['clients', 'revoke-tokens', id, '--yes'];
  const refused = await runCommand(line, as(ann));
  const approval = /--approval ([0-9a-f-]{36})/.exec(refused.stderr)?.[1] ?? '';
  expect([refused.code, approval]).toEqual([1, expect.any(String)]);
  expect((await runCommand(['approvals', 'list', '--state', 'pending'], as(bob))).stdout).toContain(approval);
  expect((await runCommand(['approvals', 'approve', approval], as(bob))).code).toBe(0);
  expect((await runCommand([...line, '--approval', approval], as(ann))).code).toBe(0);
});

test('a change of the settings or of a policy needs approval if it is one of the acts, except by the command line on the stores', async () => {
  expect((await settings({ acts: ['policies'] })).status).toBe(200);
  const approval = await ask('PATCH', '/approvals/settings', ann, { acts: [] });
  expect(await approve(approval, bob)).toBe(200);
  expect((await call('PATCH', '/approvals/settings', ann, { acts: ['delete'] }, approval)).status).toBe(409);
  expect((await call('PATCH', '/approvals/settings', ann, { acts: [] }, approval)).json.acts).toEqual([]);
  expect((await settings({ acts: ['policies'] })).status).toBe(200);
  const ofPolicy = await ask('PATCH', '/policies/owner_required', ann, { stage: 'report' });
  expect(await approve(ofPolicy, bob)).toBe(200);
  expect((await call('PATCH', '/policies/owner_required', ann, { stage: 'report' }, ofPolicy)).status).toBe(200);
  const { databaseUrl, redisUrl, rootKey } = server.stores;
  const direct = { DATABASE_URL: databaseUrl, REDIS_URL: redisUrl, KEYTURN_ROOT_KEY: rootKey };
  expect((await runCommand(['approvals', 'settings', '--no-acts', '--no-reveal-limit'], direct)).code).toBe(0);
  expect((await call('GET', '/approvals/settings', ann)).json.effective).toEqual({ acts: [], reveal_hours: null });
  expect((await call('POST', `/clients/${await client()}/tokens/revoke`, ann, {})).status).toBe(200);
});
