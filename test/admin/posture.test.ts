import { eventually } from '../eventually.ts';
import { endpointsOf, registerAll } from '../oauth/fixture.ts';
import { makeKey, registrationOf } from '../regeneration/proof.ts';
import { type AdminServer, startAdminServer } from './admin-server.ts';

const day = 86_400_000;
let now = Math.floor(Date.now() / 1_000) * 1_000;
let server: AdminServer;
let clients: Awaited<ReturnType<typeof registerAll>>;
let api: ReturnType<typeof endpointsOf>;

beforeAll(async () => {
  server = await startAdminServer({
    clock: () => now,
    env: { KEYTURN_FAILURES_PER_MINUTE: '0', KEYTURN_STANDALONE_KEYS: 'on' },
  });
  clients = await registerAll(server.core);
  api = endpointsOf(server.publicUrl);
});
afterAll(() => server?.close());
afterEach(async () => {
  for (const { name, organization_id: id } of (await get('/policies')).data)
    await set(name, { stage: 'off', organization_id: id });
});

const send = (method: string, path: string, body?: object, token?: string) =>
  server.adminFetch(path, { method, ...(body ? { body } : {}), ...(token ? { token } : {}) });
const get = async (path: string) => (await send('GET', path)).json;
const set = async (name: string, body: object) => {
  const answer = await send('PATCH', `/policies/${name}`, body);
  expect([answer.status, answer.text]).toEqual([200, answer.text]);
  return answer.json.policy;
};
const create = (body: object) =>
  send('POST', '/clients', { name: 'New', kind: 'integration', scope: 'orders:read', ...body });
const contact = async (email: string) => (await send('POST', '/contacts', { name: 'Ann', email })).json.id as string;
const policyOf = ({ status, json }: Awaited<ReturnType<typeof send>>) => [status, json.code, json.policy];

it('a policy goes from report over warn to enforce, and each step is in the audit log', async () => {
  const created = await create({});
  const path = `/clients/${created.json.client_id}`;
  await set('owner_required', { stage: 'report' });
  expect((await get(path)).warnings).toBeUndefined();
  await set('owner_required', { stage: 'warn' });
  const warning = { policy: 'owner_required', message: 'A client must have an owner.' };
  expect((await create({})).json.warnings).toEqual([warning]);
  expect((await get(path)).warnings).toEqual([warning]);
  const review = await send('POST', `${path}/regeneration/review`, {});
  expect(review.json.impact.warnings).toEqual([warning.message]);
  const { data } = await get('/attention');
  expect(data).toEqual(
    expect.arrayContaining([expect.objectContaining({ kind: 'policy_violated', client_id: created.json.client_id })]),
  );
  await set('owner_required', { stage: 'enforce' });
  expect(policyOf(await create({}))).toEqual([409, 'policy_violated', 'owner_required']);
  const owner = await contact('owner@example.com');
  expect((await create({ owner_contact_id: owner })).status).toBe(201);
  // What violates a policy already can be changed in every other way, and corrected.
  expect((await send('PATCH', path, { description: 'Old' })).status).toBe(200);
  expect((await send('PATCH', path, { owner_contact_id: owner })).status).toBe(200);
  expect(policyOf(await send('PATCH', path, { owner_contact_id: null }))).toEqual([
    409,
    'policy_violated',
    'owner_required',
  ]);
  const events = (await get('/audit-events?target=owner_required&action=policy.set')).data;
  expect(events.map(({ after }: { after: { stage: string } }) => after.stage)).toEqual(['enforce', 'warn', 'report']);
});

it('enforced policies refuse the acts that would violate them, with their name', async () => {
  const secret = await create({});
  const path = `/clients/${secret.json.client_id}`;
  const signing = registrationOf(await makeKey());
  now += 1_000;
  await set('no_new_secrets', { stage: 'enforce' });
  expect(policyOf(await create({}))).toEqual([409, 'policy_violated', 'no_new_secrets']);
  expect((await create(signing)).status).toBe(201);
  expect((await send('PATCH', path, { description: 'Stays' })).status).toBe(200);
  await set('no_new_secrets', { stage: 'off' });

  const keyed = (await create(signing)).json.client_id;
  await set('keys_only', { stage: 'enforce' });
  const replace = { replace: { auth_method: 'client_secret_basic' } };
  const { confirmation } = (await send('POST', `/clients/${keyed}/regeneration/review`, replace)).json;
  const turned = await send('POST', `/clients/${keyed}/regenerate`, { ...replace, confirmation });
  expect(policyOf(turned)).toEqual([409, 'policy_violated', 'keys_only']);
  await set('keys_only', { stage: 'off' });

  expect((await send('POST', `${path}/secret/reveal`)).status).toBe(200);
  await set('no_reveal', { stage: 'enforce' });
  expect(policyOf(await send('POST', `${path}/secret/reveal`))).toEqual([409, 'policy_violated', 'no_reveal']);
  expect(policyOf(await create({ reveal: true }))).toEqual([409, 'policy_violated', 'no_reveal']);
  expect((await create({})).json.reveal).toBe(false);
  await set('no_reveal', { stage: 'off' });

  await set('networks_required', { stage: 'enforce' });
  expect(policyOf(await create({}))).toEqual([409, 'policy_violated', 'networks_required']);
  const watched = { allowed_networks: ['127.0.0.0/8'], network_mode: 'watch' };
  expect(policyOf(await create(watched))).toEqual([409, 'policy_violated', 'networks_required']);
  const limited = await create({ allowed_networks: ['127.0.0.0/8'] });
  expect(limited.status).toBe(201);
  const widened = await send('PATCH', `/clients/${limited.json.client_id}`, { allowed_networks: null });
  expect(policyOf(widened)).toEqual([409, 'policy_violated', 'networks_required']);
  const ann = await contact('keys@example.com');
  const keyBody = { name: 'Alone', standalone: true, permissions: { orders: ['read'] } };
  const refused = await send('POST', `/contacts/${ann}/access-keys`, keyBody);
  expect(policyOf(refused)).toEqual([409, 'policy_violated', 'networks_required']);
  await set('networks_required', { stage: 'off' });

  await set('unused', { stage: 'enforce', days: 30 });
  await send('POST', `${path}/disable`);
  now += 31 * day;
  expect(policyOf(await send('POST', `${path}/enable`))).toEqual([409, 'policy_violated', 'unused']);
});

it('the stricter of a policy of the deployment and one of an organization applies', async () => {
  const { id } = (await send('POST', '/organizations', { name: 'Strict' })).json;
  await set('owner_required', { stage: 'report' });
  await set('owner_required', { stage: 'enforce', organization_id: id });
  expect((await create({})).status).toBe(201);
  expect(policyOf(await create({ organization_id: id }))).toEqual([409, 'policy_violated', 'owner_required']);
  await set('owner_required', { stage: 'enforce' });
  await set('owner_required', { stage: 'report', organization_id: id });
  expect(policyOf(await create({ organization_id: id }))).toEqual([409, 'policy_violated', 'owner_required']);
});

it('rejects a policy without its number of days, or with one that it does not have', async () => {
  expect((await send('PATCH', '/policies/nothing', { stage: 'warn' })).status).toBe(404);
  for (const [name, body] of [
    ['secret_age', { stage: 'warn' }],
    ['owner_required', { stage: 'warn', days: 3 }],
    ['unused', { stage: 'warn', days: 90, grace_days: 3 }],
  ] as const) {
    expect([name, (await send('PATCH', `/policies/${name}`, body)).status]).toEqual([name, 400]);
  }
});

it('an enforced age opens one rotation with its grace period, tells the owner, and cuts no program off', async () => {
  const owner = await contact('told@example.com');
  const { json: client } = await create({ owner_contact_id: owner });
  const hidden = (await create({ reveal: false })).json.client_id;
  const old = { id: client.client_id, secret: client.client_secret };
  now += 40 * day;
  const fresh = (await create({})).json.client_id;
  expect((await api.token(old)).status).toBe(200);
  await server.core.usage.flush();
  await set('secret_age', { stage: 'enforce', days: 30, grace_days: 5 });
  now += 5 * 60_000;
  const rotations = async (id: string) => (await get(`/clients/${id}/regenerations`)).data;
  await eventually(async () => (await rotations(old.id)).length > 0);
  const [rotation] = await rotations(old.id);
  expect(rotation).toMatchObject({ state: 'overlapping', created_by: 'Policy secret_age' });
  const end = Date.parse(rotation.previous.retires_at);
  expect(end).toBe(now + 5 * day);
  expect((await api.token(old)).status).toBe(200);
  const notices = (await get('/notices?limit=200')).data.filter(
    (each: { kind: string; subject: { id: string } }) =>
      each.kind === 'grace_period_began' && each.subject.id === old.id,
  );
  expect(notices).toHaveLength(1);
  // Nobody could be shown the new secret of a client whose secrets are not kept, so it is not rotated.
  expect([await rotations(hidden), await rotations(fresh)]).toEqual([[], []]);

  // The program still uses the previous secret a day before the end.
  await server.core.usage.flush();
  now = end - 12 * 3_600_000;
  expect((await api.token(old)).status).toBe(200);
  await server.core.usage.flush();
  now += 5 * 60_000;
  await eventually(async () => Date.parse((await rotations(old.id))[0].previous.retires_at) > end);
  now = end + 3_600_000;
  expect((await api.token(old)).status).toBe(200);
  expect(await rotations(old.id)).toHaveLength(1);
});

it('the posture ranks what has more and worse findings first, in pages, and cut to an organization', async () => {
  const { id } = (await send('POST', '/organizations', { name: 'Ranked' })).json;
  const bad = (await create({ name: 'Bad', organization_id: id })).json.client_id;
  now += 400 * day;
  const owner = await contact('good@example.com');
  const good = (await create({ name: 'Good', organization_id: id, owner_contact_id: owner })).json.client_id;
  const path = `/posture?organization_id=${id}`;
  const before = await get(path);
  expect(before.data.map((item: { client_id: string }) => item.client_id)).toEqual([bad, good]);
  expect(before).toMatchObject({ total: 2, complete: true, warnings: 0 });
  expect(before.data[0].findings.map(({ kind }: { kind: string }) => kind)).toEqual([
    'old_secret',
    'idle',
    'no_owner',
    'secret_authentication',
  ]);
  await set('keys_only', { stage: 'warn', organization_id: id });
  const after = await get(path);
  expect(after.warnings).toBe(2);
  expect(after.data[1].findings[0]).toMatchObject({ kind: 'policy', policy: 'keys_only', stage: 'warn' });
  expect(after.data[1].score).toBe(before.data[1].score + 25);
  const first = await get(`${path}&limit=1`);
  const second = await get(`${path}&limit=1&cursor=${first.next_cursor}`);
  expect([first.data[0].client_id, second.data[0].client_id, second.next_cursor]).toEqual([bad, good, null]);
  expect((await send('GET', `${path}&cursor=forged`)).status).toBe(400);
  const whole = await get('/posture?limit=200');
  expect(whole.total).toBeGreaterThan(2);
  expect(clients.shop.id).toBeTruthy();
});

it('rejects a policy for an organization that does not exist', async () => {
  const body = { stage: 'report', days: 30, organization_id: crypto.randomUUID() };
  const { status, json } = await server.adminFetch('/policies/unused', { method: 'PATCH', body });
  expect([status, json.code]).toEqual([400, 'invalid_request']);
});
