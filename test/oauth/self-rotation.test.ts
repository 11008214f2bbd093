import { randomUUID } from 'node:crypto';
import { askWith, makeKey, makeSelfSigned, type Proof, proofEnv, registrationOf } from '../regeneration/proof.ts';
import { createWorld, day, hour, minute, type World } from '../regeneration/world.ts';
import { type Answer, post } from './http-client.ts';

type Credentials = { id: string; secret: string };

let world: World;

beforeEach(async () => {
  world = await createWorld({ env: { KEYTURN_FAILURES_PER_MINUTE: '5', KEYTURN_TRUST_PROXY: '127.0.0.2' } });
  await allow(world.shop.id);
});
afterEach(async () => {
  await world.close();
});

const web = { from: '127.0.0.11', userAgent: 'shop-web/3.1' };
const nightly = { from: '127.0.0.12', userAgent: 'shop-nightly/1.0' };
const path = '/oauth2/credentials/rotate';

async function allow(clientId: string, isAllowed = true): Promise<void> {
  const { status } = await world.adminFetch(`/clients/${clientId}`, {
    method: 'PATCH',
    body: { self_rotation: isAllowed },
  });
  expect(status).toBe(200);
}

/** Rotates as a program does. A key of null sends no Idempotency-Key. */
function rotate(
  { id, secret }: Credentials,
  { key = randomUUID() as string | null, form = {} as Record<string, string>, from = '127.0.0.13' } = {},
): Promise<Answer> {
  const headers = { 'User-Agent': 'agent/1.0', ...(key === null ? {} : { 'Idempotency-Key': key }) };
  return post(`${world.publicUrl}${path}`, form, { basic: [id, secret], headers, from });
}

const credentialsOf = ({ json }: Answer): Credentials => ({
  id: String(json['client_id']),
  secret: String(json['client_secret']),
});

const codeOf = ({ status, json }: Answer) => [status, json['error']];

async function lastEvents(count: number) {
  return (await world.adminFetch(`/audit-events?limit=${count}`)).json.data;
}

it('gives a program a new secret, lets both work in the grace period, and is told by its first use', async () => {
  await world.token(world.shop, web);
  const answer = await rotate(world.shop, { form: { overlap_seconds: '7200' } });
  const retiresAt = new Date(world.now() + 2 * hour).toISOString();
  const { json } = answer;
  expect([answer.status, answer.headers['cache-control']]).toEqual([200, 'no-store']);
  expect(json).toEqual({
    regeneration_id: expect.any(String),
    state: 'overlapping',
    client_id: world.shop.id,
    client_secret: expect.stringMatching(/^kts_\w{49}$/),
    previous: { retires_at: retiresAt },
    first_used_at: null,
    moved_count: 0,
    not_moved_count: 1,
  });
  expect(await world.works(credentialsOf(answer))).toBe(true);
  expect(await world.works(world.shop)).toBe(true);
  const [event] = await lastEvents(1);
  expect(event).toMatchObject({
    actor: world.shop.id,
    actor_name: 'Shop',
    address: '127.0.0.13',
    action: 'client.regenerate',
    target: world.shop.id,
  });
  // It is a rotation like any other, with the same evidence, attention and end.
  expect(await world.progress()).toMatchObject({ id: json['regeneration_id'], state: 'overlapping' });
  world.pass(2 * hour);
  expect(await world.works(world.shop)).toBe(false);
  expect(await world.works(credentialsOf(answer))).toBe(true);
});

it('answers a repeated key with the same secret and the progress, and counts no call of it as a use', async () => {
  await world.token(world.shop, web);
  await world.token(world.shop, nightly);
  const key = randomUUID();
  await rotate(world.shop, { key: 'short' });
  const first = await rotate(world.shop, { key });
  const turned = credentialsOf(first);
  const again = await rotate(world.shop, { key });
  expect(again.json).toEqual({ ...first.json, not_moved_count: 2 });
  expect((await lastEvents(1))[0]).toMatchObject({ actor: world.shop.id, action: 'secret.show_again' });
  world.pass(minute);
  const usedAt = new Date(world.now()).toISOString();
  await world.token(turned, web);
  const used = await rotate(turned, { key });
  expect(used.json).toMatchObject({ client_secret: turned.secret, first_used_at: usedAt, moved_count: 0 });
  world.pass(2 * hour);
  expect((await rotate(turned, { key })).json).toMatchObject({ moved_count: 1, not_moved_count: 1 });
  const { sources } = await sourcesOf();
  expect(sources).toEqual(['shop-nightly/1.0', 'shop-web/3.1', 'shop-web/3.1']);
  world.pass(day);
  const late = await rotate(turned, { key });
  expect(late.json).toMatchObject({ regeneration_id: first.json['regeneration_id'], state: 'finished' });
  expect(late.json).not.toHaveProperty('client_secret');
  // The key never rotates again.
  expect(await world.regenerations()).toHaveLength(1);
});

async function sourcesOf(): Promise<{ sources: string[] }> {
  await world.core.usage.flush();
  const { json } = await world.adminFetch(`/clients/${world.shop.id}/usage?hours=720`);
  const all = json.secrets.flatMap((secret: { sources: { user_agent: string }[] }) => secret.sources);
  return { sources: all.map((source: { user_agent: string }) => source.user_agent).sort() };
}

it('rotates only with the current credential, so that a stolen earlier secret obtains no other one', async () => {
  const turned = credentialsOf(await rotate(world.shop, { form: { finish_when_unused: 'true' } }));
  expect(codeOf(await rotate(world.shop))).toEqual([400, 'unauthorized_client']);
  // Another rotation would end the previous secret, which programs may still use.
  await world.token(world.shop, web);
  await world.token(turned, nightly);
  expect(codeOf(await rotate(turned))).toEqual([409, 'rotation_in_progress']);
  expect(await world.works(world.shop)).toBe(true);
  await world.token(turned, web);
  world.pass(3 * hour);
  await world.works(turned);
  const third = await rotate(turned);
  expect(third.status).toBe(200);
  expect([await world.works(world.shop), await world.works(turned)]).toEqual([false, true]);
  expect(codeOf(await rotate(world.shop))).toEqual([401, 'invalid_client']);
});

it('does not rotate with the previous secret of a rotation by an operator', async () => {
  const { credentials } = await world.regenerate();
  expect(codeOf(await rotate(world.shop))).toEqual([400, 'unauthorized_client']);
  expect(codeOf(await rotate(credentials))).toEqual([409, 'rotation_in_progress']);
});

it('requires a key that nobody can guess, because a client whose answer is lost would be locked out', async () => {
  for (const key of [null, '', 'short', 'fifteen-letters', 'x'.repeat(256), 'with spaces in it, long enough']) {
    expect(codeOf(await rotate(world.shop, { key }))).toEqual([400, 'invalid_request']);
  }
  const key = randomUUID();
  for (const form of [
    { overlap_seconds: '0' },
    { overlap_seconds: '3599' },
    { overlap_seconds: '2592001' },
    { overlap_seconds: '1e4' },
    { finish_when_unused: 'yes' },
    { jwks: '{"keys":[]}' },
    { certificate: 'x' },
  ]) {
    expect(codeOf(await rotate(world.shop, { key, form }))).toEqual([400, 'invalid_request']);
  }
  expect(await world.regenerations()).toEqual([]);
  expect((await rotate(world.shop, { key })).status).toBe(200);
  const reused = await rotate(world.shop, { key, form: { overlap_seconds: '7200' } });
  expect(codeOf(reused)).toEqual([422, 'idempotency_key_reused']);
});

it('is off by default, ends when it is switched off, and only api_key:manage switches it on', async () => {
  const { json } = await world.adminFetch('/clients', { method: 'POST', body: { name: 'Other', kind: 'integration' } });
  const other = { id: json.client_id, secret: json.client_secret };
  expect(json.self_rotation).toBe(false);
  expect(codeOf(await rotate(other))).toEqual([400, 'unauthorized_client']);
  const token = await world.operatorToken(['integrations:view', 'integrations:edit']);
  const switched = (isAllowed: boolean) =>
    world.adminFetch(`/clients/${other.id}`, { method: 'PATCH', token, body: { self_rotation: isAllowed } });
  expect((await switched(true)).status).toBe(403);
  await allow(other.id);
  const key = randomUUID();
  expect((await rotate(other, { key })).status).toBe(200);
  expect((await switched(false)).status).toBe(200);
  expect(codeOf(await rotate(other, { key }))).toEqual([400, 'unauthorized_client']);
  expect((await lastEvents(1))[0]).toMatchObject({
    action: 'client.update',
    before: { self_rotation: true },
    after: { self_rotation: false },
  });
});

it('rejects wrong credentials like a token request, in the same bytes, and limits them by address', async () => {
  const wrong = { ...world.shop, secret: world.api.secret };
  const asked = await world.askToken(wrong, { from: '127.0.0.21' });
  const rejected = await rotate(wrong, { from: '127.0.0.22' });
  expect([rejected.status, rejected.text]).toEqual([401, asked.text]);
  expect(rejected.headers['www-authenticate']).toBe(asked.headers['www-authenticate']);
  for (let count = 0; count < 4; count++) await rotate(wrong, { from: '127.0.0.22' });
  expect((await rotate(wrong, { from: '127.0.0.22' })).status).toBe(429);
  expect((await rotate(world.shop, { from: '127.0.0.22' })).status).toBe(200);
  await world.adminFetch(`/clients/${world.shop.id}/disable`, { method: 'POST' });
  expect((await rotate(world.shop, { from: '127.0.0.23' })).text).toBe(asked.text);
});

it('rotates once for many instances that send the same key at once', async () => {
  const key = randomUUID();
  const answers = await Promise.all(Array.from({ length: 8 }, () => rotate(world.shop, { key })));
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  expect(new Set(answers.map(({ json }) => json['client_secret'])).size).toBe(1);
  expect(await world.regenerations()).toHaveLength(1);
  const others = await Promise.all(Array.from({ length: 4 }, () => rotate(world.shop)));
  expect(others.map(codeOf)).toEqual(Array.from({ length: 4 }, () => [400, 'unauthorized_client']));
});

it('shows no secret of a rotation that an operator has undone', async () => {
  const key = randomUUID();
  const turned = await rotate(world.shop, { key });
  const { json } = await world.post(`/regenerations/${turned.json['regeneration_id']}/undo`);
  expect(json.state).toBe('undone');
  const again = await rotate(world.shop, { key });
  expect(again.json).toMatchObject({ state: 'undone', previous: { retires_at: null } });
  expect(again.json).not.toHaveProperty('client_secret');
  expect(await world.works(world.shop)).toBe(true);
  expect((await rotate(world.shop)).status).toBe(200);
});

it('replaces a new secret of which no copy is kept and which no program has used, so that a lost answer locks nobody out', async () => {
  const made = await world.adminFetch('/clients', {
    method: 'POST',
    body: { name: 'No copies', kind: 'integration', reveal: false, self_rotation: true },
  });
  const old = { id: made.json.client_id, secret: made.json.client_secret };
  const key = randomUUID();
  const lost = await rotate(old, { key });
  expect(codeOf(await rotate(old, { key }))).toEqual([409, 'answer_not_kept']);
  world.pass(10 * minute);
  const again = await rotate(old, { key });
  expect(again.json).toMatchObject({ state: 'overlapping', previous: lost.json['previous'] });
  expect(again.json['client_secret']).not.toBe(lost.json['client_secret']);
  expect([
    await world.works(old),
    await world.works(credentialsOf(lost)),
    await world.works(credentialsOf(again)),
  ]).toEqual([true, false, true]);
  // A program has received it, so it stays.
  world.pass(11 * minute);
  const used = await rotate(old, { key });
  expect(used.json).toMatchObject({ first_used_at: expect.any(String) });
  expect(used.json).not.toHaveProperty('client_secret');
  expect(await world.works(credentialsOf(again))).toBe(true);
});

describe('a client with keys or a certificate', () => {
  beforeEach(async () => {
    await world.close();
    world = await createWorld({ env: proofEnv, startAt: Math.floor(Date.now() / 1_000) * 1_000 });
  });

  async function register(registration: object): Promise<string> {
    const body = { name: 'Keys', kind: 'integration', scope: 'orders:read', self_rotation: true, ...registration };
    const { json } = await world.adminFetch('/clients', { method: 'POST', body });
    return json.client_id;
  }

  const ask = (url: string, id: string, proof: Proof, form: Record<string, string>, key?: string) =>
    askWith(`${world.publicUrl}${url}`, id, proof, {
      now: world.now(),
      form,
      ...(key ? { headers: { 'Idempotency-Key': key } } : {}),
    });
  const worksWith = async (id: string, proof: Proof) =>
    (await ask('/oauth2/token', id, proof, { grant_type: 'client_credentials' })).status === 200;

  it.each([
    ['key', makeKey],
    ['certificate', async () => makeSelfSigned()],
  ] as const)('publishes its next %s, is told when it was seen, and drops the old one', async (kind, make) => {
    const [old, next] = [await make(), await make()];
    const id = await register(registrationOf(old));
    expect(await worksWith(id, old)).toBe(true);
    expect(await worksWith(id, next)).toBe(false);
    const key = randomUUID();
    const form: Record<string, string> =
      next.kind === 'certificate'
        ? { certificate: next.certificate.cert, finish_when_unused: 'true' }
        : { jwks: JSON.stringify(registrationOf(next).jwks), finish_when_unused: 'true' };
    const answer = await ask(path, id, old, form, key);
    expect([kind, answer.status, answer.json]).toMatchObject([
      kind,
      200,
      { state: 'overlapping', first_used_at: null },
    ]);
    expect(answer.json).not.toHaveProperty('client_secret');
    expect([await worksWith(id, old), await worksWith(id, next)]).toEqual([true, true]);
    world.pass(minute);
    expect((await ask(path, id, next, form, key)).json).toMatchObject({ first_used_at: expect.any(String) });
    expect(codeOf(await ask(path, id, old, form, randomUUID()))).toEqual([400, 'unauthorized_client']);
    world.pass(2 * hour);
    await world.lookAfterOverlaps();
    expect((await ask(path, id, next, form, key)).json).toMatchObject({ state: 'finished' });
    expect([await worksWith(id, old), await worksWith(id, next)]).toEqual([false, true]);
  });

  it('changes neither the way of authentication, nor keys that are published elsewhere', async () => {
    const [key, certificate] = [await makeKey(), makeSelfSigned()];
    const id = await register(registrationOf(key));
    const send = (form: Record<string, string>) => ask(path, id, key, form, randomUUID());
    const same = JSON.stringify(registrationOf(key).jwks);
    for (const form of [
      {},
      { jwks: '[]' },
      { jwks: '{"keys":[]}' },
      { jwks: same },
      { jwks: same, certificate: 'x' },
    ]) {
      expect(codeOf(await send(form as Record<string, string>))).toEqual([400, 'invalid_request']);
    }
    expect(codeOf(await send({ certificate: certificate.certificate.cert }))).toEqual([400, 'invalid_request']);
    expect((await world.adminFetch(`/clients/${id}/regenerations`)).json.data).toEqual([]);
  });
});
