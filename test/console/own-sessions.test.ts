import { type ConsoleServer, startConsole } from './console-server.ts';

const minute = 60_000;
let now = Date.parse('2026-03-01T12:00:00Z');
let server: ConsoleServer;

beforeAll(async () => {
  server = await startConsole({ clock: () => now });
});
afterAll(() => server?.close());

type Shown = { id: string; method: string; address: string; user_agent: string; last_seen_at: string };

const isSignedIn = async (cookie: string) => (await server.look('/console/sessions', cookie)).status === 200;
const sessionsOf = async (contact: string, token?: string): Promise<Shown[]> =>
  (await server.adminFetch(`/contacts/${contact}/sessions`, { token })).json.data;
const eventsOf = async (target: string, action: string) =>
  (await server.adminFetch(`/audit-events?target=${target}&action=${action}`)).json.data;

/** Signs in from an address, with a browser. */
async function signInFrom(token: string, address: string, browser: string): Promise<string> {
  const headers = { origin: server.adminUrl, 'x-forwarded-for': address, 'user-agent': browser };
  const { headers: sent } = await server.send('/console/sign-in', { token }, undefined, headers);
  return sent.getSetCookie()[0]?.split(';')[0] ?? '';
}

test('a session shows how, when and where its contact signed in, and when it was last used', async () => {
  const { id, token } = await server.operator();
  const cookie = await signInFrom(token, '192.0.2.7', 'Mozilla/5.0 Firefox/140.0 <b>\u00e4');
  const signedInAt = new Date(now).toISOString();
  now += 30 * minute;
  await server.look('/console/', cookie);
  expect(await sessionsOf(id)).toEqual([
    {
      id: expect.any(String),
      method: 'operator_token',
      address: '192.0.2.7',
      user_agent: 'Mozilla/5.0 Firefox/140.0 <b>',
      created_at: signedInAt,
      last_seen_at: new Date(now).toISOString(),
      expires_at: new Date(now + 120 * minute).toISOString(),
    },
  ]);
  const { text } = await server.look('/console/sessions', cookie);
  expect(text).toContain('Firefox');
  expect(text).toContain('192.0.2.7');
  expect(text).toContain('this session');
  expect(text).not.toContain('<b>');
});

test('an operator ends one of their sessions, and the others stay', async () => {
  const { id, token } = await server.operator();
  const [here, there] = [await signInFrom(token, '192.0.2.1', 'here'), await signInFrom(token, '192.0.2.2', 'there')];
  const other = (await sessionsOf(id)).find(({ user_agent: name }) => name === 'there');
  const ended = await server.sendAndLook(`/console/sessions/${other?.id}/end`, {}, here);
  expect(ended.text).toContain('Ended.');
  expect([await isSignedIn(here), await isSignedIn(there)]).toEqual([true, false]);
  expect(await eventsOf(id, 'session.end')).toEqual([
    expect.objectContaining({ actor: id, before: expect.objectContaining({ address: '192.0.2.2' }) }),
  ]);
});

test('signing out everywhere ends every session of the operator and none of others', async () => {
  const { id, token } = await server.operator();
  const stranger = await server.signIn((await server.operator()).token);
  const [here, there] = [await server.signIn(token), await server.signIn(token)];
  const left = await server.send('/console/sessions/end-all', {}, here);
  expect((await server.look(left.location ?? '', here)).location).toMatch(/^\/console\/sign-in/);
  expect([await isSignedIn(here), await isSignedIn(there), await isSignedIn(stranger)]).toEqual([false, false, true]);
  expect(await eventsOf(id, 'session.end_all')).toEqual([
    expect.objectContaining({ actor: id, before: { sessions: 2 } }),
  ]);
  expect(await sessionsOf(id)).toEqual([]);
});

test('an operator cannot end the session of another as one of their own', async () => {
  const victim = await server.operator();
  const cookie = await server.signIn(victim.token);
  const [session] = await sessionsOf(victim.id);
  const { token } = await server.operator();
  const answer = await server.adminFetch(`/me/sessions/${session?.id}`, { method: 'DELETE', token });
  expect(answer.status).toBe(404);
  const mixed = await server.operator();
  const wrong = await server.adminFetch(`/contacts/${mixed.id}/sessions/${session?.id}`, { method: 'DELETE' });
  expect(wrong.status).toBe(404);
  expect(await isSignedIn(cookie)).toBe(true);
});

test('a person who may manage contacts lists and ends the sessions of a contact on its page', async () => {
  const { id, token } = await server.operator(['integrations:view']);
  const cookie = await server.signIn(token);
  const manager = await server.operator(['contacts:manage', 'integrations:view']);
  const as = await server.signIn(manager.token);
  const page = await server.look(`/console/contacts/${id}/sessions`, as);
  const path = /action="(\/console\/contacts\/[^"]+\/end)"/.exec(page.text)?.[1] ?? '';
  expect((await server.sendAndLook(path, {}, as)).text).toContain('This contact is not signed in.');
  expect(await isSignedIn(cookie)).toBe(false);
  expect(await eventsOf(id, 'session.end')).toEqual([expect.objectContaining({ actor: manager.id })]);
  const again = [await server.signIn(token), await server.signIn(token)];
  expect((await server.send(`/console/contacts/${id}/sessions/end-all`, {}, as)).status).toBe(303);
  for (const each of again) expect(await isSignedIn(each)).toBe(false);
});

test('sessions that have expired are neither listed nor counted', async () => {
  const { id, token } = await server.operator();
  await server.signIn(token);
  now += 121 * minute;
  expect(await sessionsOf(id)).toEqual([]);
  const answer = await server.adminFetch(`/contacts/${id}/sessions`, { method: 'DELETE' });
  expect(answer.json).toEqual({ ended: 0 });
});

test('both limits are set in the configuration', async () => {
  const env = { KEYTURN_SESSION_TTL: '3600', KEYTURN_SESSION_IDLE: '600' };
  const strict = await startConsole({ clock: () => now, env });
  const cookie = await strict.signIn(await strict.operatorToken());
  const status = async () => (await strict.look('/console/sessions', cookie)).status;
  for (let step = 0; step < 6; step++) {
    now += 9.5 * minute;
    expect(await status()).toBe(200);
  }
  now += 4 * minute;
  expect(await status()).toBe(303);
  const idle = await strict.signIn(await strict.operatorToken());
  now += 10 * minute;
  expect((await strict.look('/console/sessions', idle)).status).toBe(303);
  await strict.close();
});
