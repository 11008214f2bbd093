import { freePort } from '../free-port.ts';
import { createWorld, day, hour, minute, type World } from '../regeneration/world.ts';

let world: World;

const portalEnvironment = async () => ({
  KEYTURN_PORTAL_PORT: String(await freePort()),
  KEYTURN_TRUST_PROXY: '127.0.0.1/32',
});

beforeEach(async () => {
  world = await createWorld({ env: await portalEnvironment() });
});
afterEach(() => world.close());

type Shown = { status: number; secret: string | undefined; text: string };

/** Sends the form of a link's page, as a person with a code does. */
async function open(url: string, code: string, cookie?: string): Promise<Shown> {
  const { pathname } = new URL(url);
  const response = await fetch(new URL(pathname, world.portalUrl), {
    method: 'POST',
    body: new URLSearchParams({ code }),
    headers: {
      Origin: world.portalUrl ?? '',
      'User-Agent': 'browser',
      'X-Forwarded-For': '192.0.2.9',
      ...(cookie ? { cookie } : {}),
    },
  });
  const text = await response.text();
  return { status: response.status, secret: /kt[sk]_\w{49}/.exec(text)?.[0], text };
}

async function handOver(body: Record<string, unknown> = {}, path = `/clients/${world.shop.id}`) {
  const { json: review } = await world.adminFetch(`${path}/regeneration/review`, { method: 'POST', body: {} });
  return await world.adminFetch(`${path}/handover`, {
    method: 'POST',
    body: { confirmation: review.confirmation, email: 'ann@example.com', ...body },
  });
}

const show = async (path = `/clients/${world.shop.id}`) => (await world.adminFetch(`${path}/handover`)).json;
const wrong = (code: string) => code.replace(/./g, (digit) => String((Number(digit) + 1) % 10));

test('changes nothing until the link is opened, then shows a new secret once and begins the grace period', async () => {
  const created = await handOver({ overlap_seconds: 7 * 86_400 });
  expect([created.status, created.json]).toMatchObject([
    201,
    {
      state: 'open',
      email: 'ann@example.com',
      url: expect.stringMatching(/^http:\/\/localhost:\d+\/portal\/handover\/[\w-]{43}$/),
      code: expect.stringMatching(/^\d{8}$/),
    },
  ]);
  const { url, code } = created.json;
  world.pass(2 * day);
  expect(await world.regenerations()).toEqual([]);
  const { secret } = await open(url, `${code.slice(0, 4)} ${code.slice(4)}`);
  expect(secret).toMatch(/^kts_/);
  const shop = { id: world.shop.id, secret: secret ?? '' };
  expect([await world.works(shop), await world.works(world.shop)]).toEqual([true, true]);
  const [rotation] = await world.regenerations();
  expect(Date.parse(rotation.previous.retires_at) - world.now()).toBe(7 * day);
  expect(rotation.handover).toMatchObject({
    opened_by: 'ann@example.com',
    address: '192.0.2.9',
    user_agent: 'browser',
  });
  expect(await show()).toMatchObject({
    state: 'opened',
    ended_at: new Date(world.now()).toISOString(),
    opened: { regeneration_id: rotation.id, address: '192.0.2.9' },
  });
  expect((await open(url, code)).secret).toBeUndefined();
  const { json: log } = await world.adminFetch(`/audit-events?target=${world.shop.id}`);
  expect(
    log.data
      .map(({ action }: { action: string }) => action)
      .slice(0, 3)
      .sort(),
  ).toEqual(['client.hand_over', 'client.open_handover', 'client.regenerate']);
});

test('is opened by one of many requests at the same time', async () => {
  const { url, code } = (await handOver()).json;
  const opened = await Promise.all(Array.from({ length: 12 }, () => open(url, code)));
  expect(opened.filter(({ secret }) => secret !== undefined)).toHaveLength(1);
  expect(await world.regenerations()).toHaveLength(1);
});

test('ends after its time, when it is withdrawn, and when another one is created; the secret stays current', async () => {
  const first = (await handOver({ expires_in: 3_600 })).json;
  world.pass(hour);
  expect((await open(first.url, first.code)).secret).toBeUndefined();
  expect((await show()).state).toBe('expired');
  const second = (await handOver()).json;
  world.pass(minute);
  const third = (await handOver()).json;
  expect((await open(second.url, second.code)).secret).toBeUndefined();
  expect((await world.adminFetch(`/clients/${world.shop.id}/handover`, { method: 'DELETE' })).status).toBe(204);
  expect((await open(third.url, third.code)).secret).toBeUndefined();
  expect(await show()).toMatchObject({ state: 'withdrawn', opened: null });
  expect((await world.adminFetch(`/clients/${world.shop.id}/handover`, { method: 'DELETE' })).status).toBe(409);
  expect([await world.works(world.shop), await world.regenerations()]).toEqual([true, []]);
});

test('ends with the fifth wrong code, also if they are tried at the same time', async () => {
  const { url, code } = (await handOver()).json;
  await Promise.all(Array.from({ length: 12 }, () => open(url, wrong(code))));
  expect(await show()).toMatchObject({ state: 'too_many_codes', wrong_codes: 5 });
  expect((await open(url, code)).secret).toBeUndefined();
  expect(await world.works(world.shop)).toBe(true);
  const { json: log } = await world.adminFetch('/audit-events?action=client.reject_handover_code');
  expect(log.data).toHaveLength(5);
});

test('accepts the code of its own link only', async () => {
  const shop = (await handOver()).json;
  const api = (await handOver({}, `/clients/${world.api.id}`)).json;
  if (shop.code !== api.code) expect((await open(shop.url, api.code)).secret).toBeUndefined();
  expect((await open(api.url, api.code)).secret).toMatch(/^kts_/);
});

test('counts the grace period from the creation if that was chosen, with an end that is known from the beginning', async () => {
  const options = { expires_in: 86_400, grace_period_from: 'created' };
  expect(await handOver({ ...options, overlap_seconds: 86_400 })).toMatchObject({
    status: 409,
    json: { code: 'grace_period_too_short' },
  });
  const end = world.now() + 2 * day;
  const { url, code } = (await handOver({ ...options, overlap_seconds: 2 * 86_400 })).json;
  world.pass(20 * hour);
  expect((await open(url, code)).secret).toMatch(/^kts_/);
  const [rotation] = await world.regenerations();
  expect(Date.parse(rotation.previous.retires_at)).toBe(end);
});

test('never ends a secret that programs use: it waits for a running grace period, and ends with another rotation', async () => {
  const first = (await handOver()).json;
  await world.regenerate({ overlap_seconds: 3_600 });
  // The secret that the link would have replaced is the previous one now.
  expect((await open(first.url, first.code)).secret).toBeUndefined();
  expect((await show()).state).toBe('replaced');
  expect(await handOver()).toMatchObject({ status: 409, json: { code: 'rotation_in_progress' } });
  world.pass(hour + minute);
  expect((await handOver()).status).toBe(201);
});

test('stores neither the link nor the code, and no copy of the secret where none may be kept', async () => {
  await world.close();
  world = await createWorld({ env: { ...(await portalEnvironment()), KEYTURN_REVEAL: 'off' } });
  const { database } = world.core;
  const tables = await database.query<{ name: string }>(
    `SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'`,
  );
  const holding = async (text: string, among = tables.map(({ name }) => name)) => {
    const found: string[] = [];
    for (const name of among) {
      const [row] = await database.query(`SELECT 1 FROM ${name} t WHERE t::text LIKE $1 LIMIT 1`, [`%${text}%`]);
      if (row) found.push(name);
    }
    return found;
  };
  const { url, code } = (await handOver()).json;
  expect(await holding(world.shop.id)).toContain('client_ids');
  expect([await holding(url.split('/').at(-1)), await holding(code, ['handovers', 'audit_events'])]).toEqual([[], []]);
  const { secret = '' } = await open(url, code);
  expect(await world.works({ id: world.shop.id, secret })).toBe(true);
  expect(await holding(secret)).toEqual([]);
  expect(await database.query('SELECT 1 FROM secrets WHERE sealed IS NOT NULL')).toEqual([]);
});

test('hands over an access key', async () => {
  const post = (path: string, body: object) => world.adminFetch(path, { method: 'POST', body });
  const { json: contact } = await post('/contacts', { name: 'Ann', email: 'ann@example.com' });
  const { json: key } = await post(`/contacts/${contact.id}/access-keys`, { name: 'Warehouse', permissions: {} });
  const {
    url,
    code,
    contact_id: receiver,
  } = (await handOver({ email: undefined, contact_id: contact.id }, `/access-keys/${key.id}`)).json;
  expect(receiver).toBe(contact.id);
  expect((await open(url, code)).secret).toMatch(/^ktk_/);
  expect(await show(`/access-keys/${key.id}`)).toMatchObject({ state: 'opened', email: 'ann@example.com' });
});

test('refuses a request without a receiver, without a current review, and for a client without a secret', async () => {
  expect((await handOver({ email: undefined })).status).toBe(400);
  expect((await handOver({ contact_id: crypto.randomUUID() })).status).toBe(400);
  expect((await handOver({ confirmation: undefined })).status).toBe(428);
  expect((await handOver({ overlap_seconds: 60 })).status).toBe(400);
});

test('a loaded page opens nothing, and says what the link is for', async () => {
  const { url, code } = (await handOver()).json;
  const look = () => fetch(new URL(new URL(url).pathname, world.portalUrl));
  for (const _ of [1, 2]) expect(await (await look()).text()).toContain('New client secret of Shop');
  expect([(await show()).state, await world.regenerations()]).toEqual(['open', []]);
  expect((await open(url, code)).status).toBe(200);
  const again = await look();
  expect([again.status, await again.text()]).toEqual([410, expect.stringContaining('This link was opened at')]);
  expect((await fetch(`${world.portalUrl}/portal/handover/${'x'.repeat(43)}`)).status).toBe(404);
  const foreign = await fetch(new URL(new URL(url).pathname, world.portalUrl), {
    method: 'POST',
    headers: { Origin: 'https://other.example' },
    body: new URLSearchParams({ code }),
  });
  expect(foreign.status).toBe(403);
});

test('a killed answer is not shown again: the page says from where the link was opened, and the operator undoes it', async () => {
  const { url, code } = (await handOver()).json;
  // The answer of this request is lost.
  await open(url, code);
  const { status, secret, text } = await open(url, code);
  expect([status, secret, text]).toEqual([410, undefined, expect.stringContaining('192.0.2.9')]);
  const [{ id }] = await world.regenerations();
  expect((await world.post(`/regenerations/${id}/undo`)).status).toBe(200);
  expect(await world.works(world.shop)).toBe(true);
  const next = (await handOver()).json;
  expect((await open(next.url, next.code)).secret).toMatch(/^kts_/);
});

test('a deployment without a portal says that it needs one', async () => {
  const plain = await createWorld();
  const path = `/clients/${plain.shop.id}`;
  const { json } = await plain.adminFetch(`${path}/regeneration/review`, { method: 'POST', body: {} });
  const body = { confirmation: json.confirmation, email: 'ann@example.com' };
  expect(await plain.adminFetch(`${path}/handover`, { method: 'POST', body })).toMatchObject({
    status: 409,
    json: { code: 'portal_off', detail: expect.stringContaining('KEYTURN_PORTAL_PORT') },
  });
  await plain.close();
});

test('a contact that is signed in to the portal needs no code, and nobody else gets around it', async () => {
  const post = async (path: string, body: object) => (await world.adminFetch(path, { method: 'POST', body })).json;
  const { id: organization } = await post('/organizations', { name: 'Acme' });
  const enter = async (name: string): Promise<{ id: string; cookie: string }> => {
    const { id } = await post('/contacts', { name, email: `${name}@example.com`, organization_id: organization });
    const { url } = await post('/portal-sessions', { contact_id: id });
    const response = await fetch(`${world.portalUrl}/portal/sign-in`, {
      method: 'POST',
      headers: { Origin: world.portalUrl },
      body: new URLSearchParams({ code: new URL(url).searchParams.get('code') ?? '' }),
      redirect: 'manual',
    });
    return { id, cookie: response.headers.getSetCookie()[0]?.split(';')[0] ?? '' };
  };
  const [ann, bob] = [await enter('ann'), await enter('bob')];
  const { client_id: client } = await post('/clients', {
    name: 'Sync',
    kind: 'integration',
    organization_id: organization,
  });
  const { url } = (await handOver({ email: undefined, contact_id: ann.id }, `/clients/${client}`)).json;
  expect(await open(url, '', bob.cookie)).toMatchObject({ status: 400, secret: undefined });
  expect(await open(url, '')).toMatchObject({ status: 400, secret: undefined });
  expect((await show(`/clients/${client}`)).wrong_codes).toBe(0);
  expect((await open(url, '', ann.cookie)).secret).toMatch(/^kts_/);
  const { json: log } = await world.adminFetch('/audit-events?action=client.open_handover');
  expect(log.data[0]).toMatchObject({ actor: ann.id, after: { proved_by: 'portal' } });
});
