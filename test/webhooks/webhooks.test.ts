import { randomBytes } from 'node:crypto';
import { rotateRootKey } from '../../src/root-key/root-key-rotation.ts';
import { createWorld, hour, minute, type World } from '../regeneration/world.ts';
import { type Received, startReceiver } from './webhook-receiver.ts';

let world: World;
let receiver: Awaited<ReturnType<typeof startReceiver>>;

beforeEach(async () => {
  receiver = await startReceiver();
  world = await createWorld({ env: { KEYTURN_WEBHOOK_NETWORKS: '127.0.0.0/8' } });
  // The notices about the set-up have no receiver.
  await deliver();
  world.pass(1_000);
});
afterEach(async () => {
  await world.close();
  await receiver.close();
});

const api = (path: string, method = 'GET', body?: object) =>
  world.adminFetch(`/webhooks${path}`, { method, ...(body ? { body } : {}) });

async function create(more: object = {}) {
  const answer = await api('', 'POST', { name: 'Chat', url: receiver.url, ...more });
  if (answer.status !== 201) throw new Error(answer.text);
  return answer.json as { id: string; signing_secret: string };
}

/** Rotates the secret of the integration, which has one notice, and undoes it, which has another one. */
async function rotateAndUndo(): Promise<void> {
  const { json } = await world.regenerate();
  await world.post(`/regenerations/${json.regeneration_id}/undo`);
}

const deliver = () => world.core.notices.turn();
const last = () => receiver.received.at(-1) as Received;
const types = () => receiver.received.map(({ type }) => type);

test('sends a signed CloudEvent for a notice, which an independent library verifies', async () => {
  const { id, signing_secret: secret } = await create();
  expect(secret).toMatch(/^whsec_[\w+/]{43}=$/);
  const { json } = await world.regenerate();
  await deliver();
  expect(receiver.received).toHaveLength(1);
  const { event, headers } = last();
  expect(event).toEqual({
    specversion: '1.0',
    id: last().id,
    source: world.core.issuer,
    type: 'dev.keyturn.grace_period_began',
    subject: `clients/${world.shop.id}`,
    time: expect.any(String),
    datacontenttype: 'application/json',
    data: expect.objectContaining({
      regeneration_id: json.regeneration_id,
      subject: { type: 'client', id: world.shop.id, name: 'Shop' },
    }),
  });
  expect(headers['content-type']).toBe('application/cloudevents+json');
  expect(receiver.verifies(secret, last())).toBe(true);
  expect(receiver.verifies(secret, { ...last(), body: `${last().body} ` })).toBe(false);
  expect(last().body).not.toMatch(/kt[skao]_/);
  const { json: log } = await api(`/${id}/deliveries`);
  expect(log.data).toEqual([expect.objectContaining({ state: 'delivered', attempts: 1, event })]);
});

test('signs with two secrets during a grace period, and shows each secret once', async () => {
  const { id, signing_secret: old } = await create();
  const { json: rotated } = await api(`/${id}/rotate`, 'POST', { overlap_seconds: 3_600 });
  const next: string = rotated.signing_secret;
  expect(rotated.signing_secrets).toMatchObject([{ retires_at: null }, { retires_at: expect.any(String) }]);
  const works = async () => {
    const { json } = await api(`/${id}/test`, 'POST');
    return [json.delivered, ...[old, next].map((secret) => receiver.verifies(secret, last()))];
  };
  // The independent library compares timestamps with the real time.
  expect(await works()).toEqual([true, true, true]);
  expect((await api(`/${id}/rotation/undo`, 'POST')).status).toBe(200);
  expect(await works()).toEqual([true, true, false]);
  const { json: again } = await api(`/${id}/rotate`, 'POST', { overlap_seconds: 60 });
  world.pass(minute);
  await api(`/${id}/test`, 'POST');
  expect([old, again.signing_secret].map((secret) => receiver.verifies(secret, last()))).toEqual([false, true]);
  expect((await api(`/${id}/rotation/finish`, 'POST')).json.code).toBe('no_grace_period');
  const { text } = await api(`/${id}`);
  expect([text.includes(again.signing_secret), text.includes('whsec_')]).toEqual([false, false]);
  const stored = await world.core.database.query('SELECT t::text AS row FROM webhook_secrets t');
  expect(JSON.stringify(stored)).not.toContain(again.signing_secret.slice(6));
});

test('delivers everything once and in order per thing after a receiver has failed for a day', async () => {
  const { id } = await create();
  const tried: string[] = [];
  receiver.state.onRequest = ({ id: event }) => void tried.push(event);
  receiver.state.status = 500;
  for (let hours = 0; hours < 24; hours++) {
    if (hours % 8 === 0) await rotateAndUndo();
    await deliver();
    world.pass(hour);
  }
  expect([receiver.received, tried.length > 3]).toEqual([[], true]);
  expect((await api(`/${id}`)).json).toMatchObject({
    status: 'enabled',
    failing_since: expect.any(String),
    last_failure: 'The receiver answered with status 500.',
  });
  receiver.state.status = 204;
  for (let hours = 0; hours < 6; hours++) {
    world.pass(hour);
    await deliver();
  }
  const began = 'dev.keyturn.grace_period_began';
  const undone = 'dev.keyturn.grace_period_undone';
  expect(types()).toEqual([began, undone, began, undone, began, undone]);
  expect(new Set(receiver.received.map((each) => each.id)).size).toBe(6);
  expect(tried.every((event) => receiver.received.some((each) => each.id === event))).toBe(true);
  expect((await api(`/${id}`)).json).toMatchObject({ failing_since: null, last_success_at: expect.any(String) });
});

test('keeps later events back while an earlier one about the same thing fails', async () => {
  await create();
  let requests = 0;
  receiver.state.onRequest = () => {
    requests += 1;
    receiver.state.status = requests === 1 ? 500 : 204;
  };
  await rotateAndUndo();
  await deliver();
  expect([requests, receiver.received]).toEqual([1, []]);
  world.pass(hour);
  await deliver();
  expect(types()).toEqual(['dev.keyturn.grace_period_began', 'dev.keyturn.grace_period_undone']);
});

test('is disabled after three days of failures with a notice, and delivers the meantime by a replay', async () => {
  const { id } = await create();
  receiver.state.status = 503;
  const since = new Date(world.now()).toISOString();
  await rotateAndUndo();
  for (let hours = 0; hours < 80; hours += 4) {
    await deliver();
    world.pass(4 * hour);
  }
  expect((await api(`/${id}`)).json).toMatchObject({ status: 'disabled', disabled_as: 'failing' });
  const { json: notices } = await world.adminFetch('/notices?kind=webhook_disabled');
  expect(notices.data).toMatchObject([{ subject: { type: 'webhook', id, name: 'Chat' } }]);
  await deliver();
  expect((await api(`/${id}/deliveries?state=pending`)).json.data).toEqual([]);
  expect((await api(`/${id}/replay`, 'POST', { since })).json.code).toBe('webhook_disabled');
  receiver.state.status = 200;
  await api(`/${id}/enable`, 'POST');
  const { json: replayed } = await api(`/${id}/replay`, 'POST', { since });
  await deliver();
  expect(receiver.received.length).toBe(replayed.count);
  expect(types().slice(0, 2)).toEqual(['dev.keyturn.grace_period_began', 'dev.keyturn.grace_period_undone']);
  const before = receiver.received.map((each) => each.id);
  await api(`/${id}/replay`, 'POST', { since });
  await deliver();
  expect(receiver.received.map((each) => each.id)).toEqual([...before, ...before]);
});

test('a receiver that answers 410 is disabled at once, and one that redirects or is away is tried again', async () => {
  const { id } = await create();
  for (const [status, reason] of [
    [302, 'The receiver answered with status 302.'],
    [404, 'The receiver answered with status 404.'],
  ] as const) {
    receiver.state.status = status;
    expect((await api(`/${id}/test`, 'POST')).json).toMatchObject({ delivered: false, status, reason });
  }
  receiver.state.status = 410;
  await rotateAndUndo();
  await deliver();
  expect((await api(`/${id}`)).json).toMatchObject({ disabled_as: 'gone' });
});

test('sends only the kinds that are chosen', async () => {
  await create({ name: 'All', url: `${receiver.url}/all` });
  await create({ name: 'Undone only', url: `${receiver.url}/undone`, kinds: ['grace_period_undone'] });
  await rotateAndUndo();
  await deliver();
  expect(types().sort()).toEqual([
    'dev.keyturn.grace_period_began',
    'dev.keyturn.grace_period_undone',
    'dev.keyturn.grace_period_undone',
  ]);
});

test('an organization gets its own events alone, without names of operators, and never reaches a private network', async () => {
  const post = async (path: string, body: object = {}) => (await world.adminFetch(path, { method: 'POST', body })).json;
  const { id: organization } = await post('/organizations', { name: 'Acme' });
  const of = { organization_id: organization };
  const refused = await api('', 'POST', { name: 'Inside', url: receiver.url, ...of });
  expect([refused.status, refused.json.code]).toEqual([400, 'invalid_request']);
  await create({ name: 'Of the deployment', kinds: ['grace_period_began'] });
  const own = await create({ name: 'Of Acme', url: 'https://hooks.invalid/', kinds: ['grace_period_began'], ...of });
  const { client_id: client } = await post('/clients', { name: 'Sync', kind: 'integration', ...of });
  const { confirmation } = await post(`/clients/${client}/regeneration/review`);
  await post(`/clients/${client}/regenerate`, { confirmation });
  await world.regenerate();
  await deliver();
  expect(receiver.received.map(({ subject }) => subject)).toEqual([`clients/${client}`, `clients/${world.shop.id}`]);
  expect(last().event.data.by).toEqual(expect.any(String));
  const { json: log } = await api(`/${own.id}/deliveries`);
  expect(log.data).toMatchObject([{ state: 'pending', attempts: 1, event: { subject: `clients/${client}` } }]);
  expect(log.data[0].event.data).not.toHaveProperty('by');
});

test.each([
  'http://hooks.example.com/',
  'https://10.0.0.5/',
  'https://[::1]/',
  'https://169.254.169.254/latest',
  'https://user:secret@hooks.example.com/',
  'ftp://hooks.example.com/',
  'https://localhost/',
  'https://hooks.example.com/#part',
  'https://hooks.exämple.com/',
])('refuses the URL %s', async (url) => {
  const own = await createWorld();
  const answer = await own.adminFetch('/webhooks', { method: 'POST', body: { name: 'X', url } });
  await own.close();
  expect([answer.status, answer.json.code]).toEqual([400, 'invalid_request']);
});

test('keeps its signing secrets when the root key is rotated', async () => {
  const { id, signing_secret: secret } = await create();
  const { rootKey } = world.stores;
  await world.close();
  const env = { KEYTURN_WEBHOOK_NETWORKS: '127.0.0.0/8' };
  const next = `w2:${randomBytes(32).toString('base64')}`;
  const stores = { ...world.stores, rootKey: `${next},${rootKey}` };
  world = await createWorld({ stores, env });
  expect(await rotateRootKey(world.core, { id: 'test', name: 'test', address: null })).toMatchObject({
    unreadable: [],
  });
  await world.close();
  world = await createWorld({ stores: { ...stores, rootKey: next }, env });
  expect((await api(`/${id}/test`, 'POST')).json).toMatchObject({ delivered: true });
  expect(receiver.verifies(secret, last())).toBe(true);
});
