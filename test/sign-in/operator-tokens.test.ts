import { type ConsoleServer, startConsole } from '../console/console-server.ts';

const day = 86_400_000;
// Not in the past of the database, which deletes what has expired by its own clock.
let now = Date.now();
let server: ConsoleServer;

beforeAll(async () => {
  server = await startConsole({ clock: () => now });
});
afterAll(() => server?.close());

const issue = async (body: object, token?: string) =>
  await server.adminFetch('/operator-tokens', { method: 'POST', token, body: { name: 'Pipeline', ...body } });
const statusWith = async (token: string, path = '/me', headers = {}) =>
  (await server.adminFetch(path, { token, headers })).status;
const eventsOf = async (target: string, action: string) =>
  (await server.adminFetch(`/audit-events?target=${target}&action=${action}`)).json.data;

test('a token has a name, a default end after 90 days, and is shown once', async () => {
  const { id, token } = await server.operator();
  const { status, json } = await issue({}, token);
  expect(status).toBe(201);
  expect(json).toMatchObject({ name: 'Pipeline', contact_id: id, last_used_at: null, break_glass: false });
  expect(json.expires_at).toBe(new Date(now + 90 * day).toISOString());
  expect(json.operator_token).toMatch(/^kto_/);
  const list = await server.adminFetch('/operator-tokens', { token });
  expect(list.text).not.toContain(json.operator_token);
  expect(list.json.data.map((each: { id: string }) => each.id)).toContain(json.id);
  expect(await eventsOf(id, 'operator_token.issue_bounded')).toHaveLength(1);
});

test('a token may do what both it and its contact may do, now', async () => {
  const { id, token } = await server.operator(['integrations:view', 'audit:view', 'contacts:manage']);
  const { json } = await issue({ permissions: ['integrations:view', 'audit:view'] }, token);
  expect((await server.adminFetch('/me', { token: json.operator_token })).json).toMatchObject({
    id,
    permissions: ['integrations:view', 'audit:view'],
  });
  expect(await statusWith(json.operator_token, '/identity-providers')).toBe(403);
  await server.adminFetch(`/contacts/${id}`, { method: 'PATCH', body: { permissions: ['audit:view'] } });
  expect(await statusWith(json.operator_token, '/clients')).toBe(403);
  expect(await statusWith(json.operator_token, '/audit-events')).toBe(200);
});

test('nobody issues a token with a permission that they or the contact lack', async () => {
  const { token } = await server.operator(['integrations:view', 'contacts:manage']);
  expect((await issue({ permissions: ['api_key:manage'] }, token)).status).toBe(403);
  const other = await server.operator(['audit:view']);
  expect((await issue({ contact_id: other.id, permissions: ['audit:view'] }, token)).status).toBe(403);
  expect((await issue({ contact_id: other.id, permissions: ['integrations:view'] }, token)).status).toBe(400);
  const alone = await server.operator(['integrations:view']);
  expect((await issue({ contact_id: other.id, permissions: [] }, alone.token)).status).toBe(403);
});

test('a token cannot issue tokens, so it cannot shed its limits', async () => {
  const { id, token } = await server.operator();
  const { json } = await issue({}, token);
  const own = json.operator_token;
  expect((await issue({}, own)).status).toBe(403);
  expect((await server.adminFetch(`/contacts/${id}/operator-token`, { method: 'POST', token: own })).status).toBe(403);
  const second = (await issue({}, token)).json;
  const rotated = await server.adminFetch(`/operator-tokens/${second.id}/rotate`, { method: 'POST', token: own });
  expect(rotated.status).toBe(403);
});

test('a token ends at its date, when it is revoked, and with its contact', async () => {
  const { id, token } = await server.operator();
  const brief = (await issue({ expires_at: new Date(now + 60_000).toISOString() }, token)).json;
  const revoked = (await issue({}, token)).json;
  const kept = (await issue({}, token)).json;
  const all = () => Promise.all([brief, revoked, kept].map((each) => statusWith(each.operator_token)));
  expect(await all()).toEqual([200, 200, 200]);
  await server.adminFetch(`/operator-tokens/${revoked.id}`, { method: 'DELETE', token });
  now += 60_000;
  expect(await all()).toEqual([401, 401, 200]);
  expect((await server.adminFetch(`/contacts/${id}`, { method: 'DELETE' })).status).toBe(204);
  expect(await all()).toEqual([401, 401, 401]);
});

test('a token is accepted from its networks alone, and its rejection looks like any other', async () => {
  const { token } = await server.operator();
  const { json } = await issue({ allowed_networks: ['203.0.113.0/24', '2001:db8::/32'] }, token);
  const from = (address: string) =>
    server.adminFetch('/me', { token: json.operator_token, headers: { 'x-forwarded-for': address } });
  expect((await from('203.0.113.9')).status).toBe(200);
  expect((await from('2001:db8::7')).status).toBe(200);
  const elsewhere = await from('198.51.100.1');
  const unknown = await server.adminFetch('/me', { token: `kto_${'0'.repeat(49)}` });
  expect([elsewhere.status, elsewhere.text]).toEqual([401, unknown.text]);
});

test('the last use is recorded to the minute', async () => {
  const { id, token } = await server.operator();
  const { json } = await issue({}, token);
  const used = async () => (await server.adminFetch(`/operator-tokens?contact_id=${id}`)).json.data[0].last_used_at;
  await statusWith(json.operator_token);
  const first = new Date(now).toISOString();
  expect(await used()).toBe(first);
  now += 30_000;
  await statusWith(json.operator_token);
  expect(await used()).toBe(first);
  now += 30_000;
  await statusWith(json.operator_token);
  expect(await used()).toBe(new Date(now).toISOString());
});

test('rotating gives a token with the same limits, and the previous one works until its grace period ends', async () => {
  const { token } = await server.operator();
  const limits = { permissions: ['audit:view'], allowed_networks: ['127.0.0.0/8'] };
  const first = (await issue({ ...limits, expires_at: new Date(now + 30 * day).toISOString() }, token)).json;
  now += 10 * day;
  const rotate = (id: string, by: string, body: object) =>
    server.adminFetch(`/operator-tokens/${id}/rotate`, { method: 'POST', token: by, body });
  // A program rotates its own token with the token itself.
  const second = (await rotate(first.id, first.operator_token, { overlap_seconds: 3_600 })).json;
  expect(second).toMatchObject({ name: 'Pipeline', ...limits, previous: { id: first.id } });
  expect(second.expires_at).toBe(new Date(now + 30 * day).toISOString());
  expect(await statusWith(first.operator_token, '/audit-events')).toBe(200);
  expect(await statusWith(second.operator_token, '/audit-events')).toBe(200);
  now += 3_600_000;
  expect(await statusWith(first.operator_token, '/audit-events')).toBe(401);
  expect(await statusWith(second.operator_token, '/audit-events')).toBe(200);
});

test('a token without an end, or with a late one, needs the deployment’s consent', async () => {
  const { token } = await server.operator();
  expect((await issue({ expires_at: null }, token)).status).toBe(400);
  expect((await issue({ expires_at: new Date(now + 366 * day).toISOString() }, token)).status).toBe(400);
  const lax = await startConsole({ clock: () => now, env: { KEYTURN_OPERATOR_TOKEN_DAYS: '0' } });
  const own = await lax.operator();
  const body = { name: 'Forever', expires_at: null };
  const { json } = await lax.adminFetch('/operator-tokens', { method: 'POST', token: own.token, body });
  expect(json.expires_at).toBe(null);
  now += 5_000 * day;
  expect((await lax.adminFetch('/me', { token: json.operator_token })).status).toBe(200);
  await lax.close();
});

test('a token of the deployment can be limited to one organization', async () => {
  const { json: acme } = await server.adminFetch('/organizations', { method: 'POST', body: { name: 'Acme' } });
  const { token } = await server.operator();
  const { json } = await issue({ organization_id: acme.id }, token);
  const seen = await server.adminFetch('/organizations', { token: json.operator_token });
  expect(seen.json.data.map(({ id }: { id: string }) => id)).toEqual([acme.id]);
  expect(await statusWith(json.operator_token, '/signing-keys')).toBe(403);
  await server.adminFetch(`/organizations/${acme.id}/disable`, { method: 'POST' });
  expect(await statusWith(json.operator_token)).toBe(401);
});

test('everyone manages their own tokens, and only those', async () => {
  const [one, other] = [await server.operator(['audit:view']), await server.operator(['audit:view'])];
  const { json } = await issue({}, one.token);
  const list = await server.adminFetch('/operator-tokens', { token: other.token });
  expect(list.json.data).toEqual([]);
  expect((await server.adminFetch(`/operator-tokens?contact_id=${one.id}`, { token: other.token })).status).toBe(403);
  for (const [method, path] of [
    ['DELETE', `/operator-tokens/${json.id}`],
    ['POST', `/operator-tokens/${json.id}/rotate`],
  ] as const) {
    expect((await server.adminFetch(path, { method, token: other.token })).status).toBe(404);
  }
  expect((await server.adminFetch(`/operator-tokens/${json.id}`, { method: 'DELETE' })).status).toBe(204);
  expect(await statusWith(json.operator_token)).toBe(401);
});

test('each use of a break-glass token is recorded, counted, and shown on the home page', async () => {
  const { id, token } = await server.operator();
  const { json } = await issue({ name: 'Glass', break_glass: true }, token);
  const cookie = await server.signIn(token);
  expect((await server.look('/console/', cookie)).text).not.toContain('Glass');
  expect(await statusWith(json.operator_token)).toBe(200);
  expect(await eventsOf(id, 'operator.break_glass_used')).toEqual([
    expect.objectContaining({ actor: id, after: expect.objectContaining({ id: json.id, name: 'Glass' }) }),
  ]);
  expect((await server.look('/console/', cookie)).text).toMatch(/Glass.*operator token of.*for emergencies was used/s);
  const metrics = await (await fetch(`${server.adminUrl}/metrics`)).text();
  expect(metrics).toMatch(/^keyturn_break_glass_uses_total [1-9]/m);
});

test('the use of a break-glass token needs attention until somebody else acknowledges it, or for a week', async () => {
  const { id, token } = await server.operator();
  const { json } = await issue({ name: 'Sealed', break_glass: true }, token);
  const items = async (): Promise<object[]> =>
    (await server.adminFetch('/attention')).json.data.filter(
      (item: { operator_token_id: string }) => item.operator_token_id === json.id,
    );
  const acknowledge = async (by: string) =>
    (await server.adminFetch(`/operator-tokens/${json.id}/acknowledge`, { method: 'POST', token: by })).status;
  expect([await items(), await acknowledge(token)]).toEqual([[], 404]);
  expect(await statusWith(json.operator_token)).toBe(200);
  expect(await items()).toMatchObject([
    { kind: 'break_glass_used', urgency: 'urgent', name: 'Sealed', contact_id: id },
  ]);
  expect(await acknowledge(json.operator_token)).toBe(403);
  expect(await items()).toHaveLength(1);

  const cookie = await server.signIn(token);
  const path = `/console/operator-tokens/${json.id}/acknowledge`;
  expect((await server.sendAndLook(path, {}, cookie)).text).toContain('Acknowledged.');
  expect(await items()).toEqual([]);
  expect(await eventsOf(id, 'operator.break_glass_acknowledged')).toHaveLength(1);

  now += 61_000;
  expect(await statusWith(json.operator_token)).toBe(200);
  expect((await server.adminFetch(`/operator-tokens/${json.id}`, { method: 'DELETE' })).status).toBe(204);
  expect(await items()).toHaveLength(1);
  now += 7 * day;
  expect(await items()).toEqual([]);
});

test('a token does not open the console', async () => {
  const { token } = await server.operator();
  const { json } = await issue({}, token);
  expect((await server.send('/console/sign-in', { token: json.operator_token })).status).toBe(401);
});

test('a leaked token is found and ended', async () => {
  const { id, token } = await server.operator();
  const { json } = await issue({}, token);
  const body = { values: [json.operator_token], disable: true };
  const found = await server.adminFetch('/leaks', { method: 'POST', body });
  expect(found.json.data ?? found.json).toEqual(
    expect.arrayContaining([expect.objectContaining({ kind: 'operator_token' })]),
  );
  expect(await statusWith(json.operator_token)).toBe(401);
  expect(await statusWith(token)).toBe(200);
  expect(await eventsOf(id, 'operator_token.end_leaked')).toHaveLength(1);
});

test('the console issues, rotates and ends tokens', async () => {
  const { token } = await server.operator();
  const cookie = await server.signIn(token);
  const shown = (text: string) => /<code id="operator-token">([^<]*)<\/code>/.exec(text)?.[1] ?? '';
  const form = { name: 'By hand', permissions: 'audit:view', days: '30', once: crypto.randomUUID() };
  const made = await server.sendAndLook('/console/operator-tokens/new', form, cookie);
  const first = shown(made.text);
  expect(await statusWith(first, '/audit-events')).toBe(200);
  const list = await server.look('/console/operator-tokens', cookie);
  const at = /href="(\/console\/operator-tokens\/[^"]+)\/rotate"/.exec(
    list.text.slice(list.text.indexOf('By hand')),
  )?.[1];
  const rotated = await server.sendAndLook(`${at}/rotate`, { once: crypto.randomUUID() }, cookie);
  expect(await statusWith(shown(rotated.text), '/audit-events')).toBe(200);
  expect((await server.sendAndLook(`${at}/revoke`, {}, cookie)).text).toContain('Ended the operator token.');
  expect(await statusWith(first, '/audit-events')).toBe(401);
});

test('the console lists what a token may do in words, and links its contact', async () => {
  const { id, token } = await server.operator();
  const form = { name: 'In words', permissions: 'audit:view', days: '30', once: crypto.randomUUID() };
  const cookie = await server.signIn(token);
  await server.send('/console/operator-tokens/new', form, cookie);
  const { text } = await server.look('/console/operator-tokens', cookie);
  const row = text.split('<tr').find((each) => each.includes('In words')) ?? '';
  expect(row).toContain('View the audit log <code class="fine">audit:view</code>');
  expect(row).toContain(`<a href="/console/contacts/${id}">`);
});

test('the console warns of the end of the current token only if the contact has one', async () => {
  const cookie = await server.signIn((await server.operator()).token);
  const body = { name: 'Without a token', email: 'none@example.com' };
  const contact = (await server.adminFetch('/contacts', { method: 'POST', body })).json;
  const page = async () => (await server.look(`/console/contacts/${contact.id}/operator-token`, cookie)).text;
  expect(await page()).not.toContain('The current token stops working');
  await server.adminFetch(`/contacts/${contact.id}/operator-token`, { method: 'POST' });
  expect(await page()).toContain('The current token stops working');
});
