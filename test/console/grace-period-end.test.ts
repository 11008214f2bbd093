import { endpointsOf } from '../oauth/fixture.ts';
import { type ConsoleServer, startConsole } from './console-server.ts';

const day = 86_400_000;
let now = Math.floor(Date.now() / 60_000) * 60_000;
let server: ConsoleServer;
let cookie: string;

beforeAll(async () => {
  server = await startConsole({ clock: () => now });
});
afterAll(() => server.close());
beforeEach(async () => {
  cookie = await server.signIn((await server.operator()).token);
});

async function post(path: string, body: unknown = {}) {
  const { status, json, text } = await server.adminFetch(path, { method: 'POST', body });
  if (status > 299) throw new Error(`${path}: ${text}`);
  return json;
}

async function register(): Promise<{ id: string; secret: string; at: string }> {
  const { client_id: id, client_secret: secret } = await post('/clients', { name: 'Sync', kind: 'integration' });
  return { id, secret, at: `/console/clients/${id}` };
}

async function useWeekly(client: { id: string; secret: string }): Promise<void> {
  for (let week = 0; week < 2; week++) {
    if (week > 0) now += 7 * day;
    await endpointsOf(server.publicUrl).token(client, {}, { headers: { 'user-agent': 'weekly/1' } });
    await server.core.usage.flush();
  }
  cookie = await server.signIn((await server.operator()).token);
}

const selected = (text: string, name: string) =>
  new RegExp(`name="${name}"[^>]*>.*?<option value="([^"]*)" selected`, 's').exec(text)?.[1];

const confirmationIn = (text: string) => /name="confirmation" value="([^"]+)"/.exec(text)?.[1] ?? '';

const endOf = async (id: string) => (await server.adminFetch(`/clients/${id}`)).json.retires_at;

/** Returns the value of a `datetime-local` field for a time, in a zone with this offset in minutes. */
const local = (at: number, offset = 0) => new Date(at + offset * 60_000).toISOString().slice(0, 16);

it('proposes twice the longest pause of a source that has not moved, and a day if no source pauses for long', async () => {
  const idle = await register();
  expect(selected((await server.look(`${idle.at}/regenerate`, cookie)).text, 'overlap_seconds')).toBe('86400');

  const weekly = await register();
  await useWeekly(weekly);
  const review = (await server.look(`${weekly.at}/regenerate`, cookie)).text;
  expect(selected(review, 'overlap_seconds')).toBe('1209600');
  expect(review).toContain('One source pauses for up to 7 days between two uses');

  const turned = await post(`/clients/${weekly.id}/regenerate`, {
    confirmation: confirmationIn(review),
    overlap_seconds: 3_600,
  });
  const extend = `${weekly.at}/regenerations/${turned.regeneration_id}/extend`;
  expect(selected((await server.look(extend, cookie)).text, 'seconds')).toBe('1209600');
});

it('rotates with a grace period until a date and time at an offset from UTC, and extends it to another one', async () => {
  const client = await register();
  const review = (await server.look(`${client.at}/regenerate`, cookie)).text;
  const until = now + 3 * day;
  const rotated = await server.send(
    `${client.at}/regenerate`,
    {
      confirmation: confirmationIn(review),
      overlap_seconds: 'date',
      ends_at: local(until, 330),
      ends_offset: '+05:30',
    },
    cookie,
  );
  expect(rotated.status).toBe(303);
  expect(await endOf(client.id)).toBe(new Date(until).toISOString());

  const [rotation] = (await server.adminFetch(`/clients/${client.id}/regenerations`)).json.data;
  const later = now + 20 * day;
  const form = { seconds: 'date', ends_at: local(later, -480), ends_offset: '-08:00' };
  expect((await server.send(`${client.at}/regenerations/${rotation.id}/extend`, form, cookie)).status).toBe(303);
  expect(await endOf(client.id)).toBe(new Date(later).toISOString());
});

it.each([
  ['missing', () => '', 'Enter a date and time.'],
  ['in the past', () => local(now - day), 'The date and time must be in the future.'],
  ['later than 30 days from now', () => local(now + 31 * day), 'The date and time must be within 30 days from now.'],
])('rejects a date that is %s, keeps what was entered, and changes nothing', async (_, date, message) => {
  const client = await register();
  const review = (await server.look(`${client.at}/regenerate`, cookie)).text;
  const form = { overlap_seconds: 'date', ends_at: date(), ends_offset: '+02:00', finish_when_unused: 'on' };
  const answer = await server.send(
    `${client.at}/regenerate`,
    { confirmation: confirmationIn(review), ...form },
    cookie,
  );
  expect(answer.status).toBe(400);
  expect(answer.text).toContain(message);
  expect([selected(answer.text, 'overlap_seconds'), selected(answer.text, 'ends_offset')]).toEqual(['date', '+02:00']);
  expect(answer.text).toMatch(/name="finish_when_unused"[^>]*checked/);
  expect(await endOf(client.id)).toBeNull();
});

it('the review during a grace period counts only the sources that have not moved', async () => {
  const client = await register();
  const { token } = endpointsOf(server.publicUrl);
  for (const agent of ['moves/1', 'stays/1']) await token(client, {}, { headers: { 'user-agent': agent } });
  await server.core.usage.flush();
  const first = await post(`/clients/${client.id}/regeneration/review`);
  const turned = await post(`/clients/${client.id}/regenerate`, {
    confirmation: first.confirmation,
    overlap_seconds: 3 * 86_400,
  });
  await token({ id: client.id, secret: turned.client_secret }, {}, { headers: { 'user-agent': 'moves/1' } });
  now += 2 * 3_600_000;
  await server.core.usage.flush();
  cookie = await server.signIn((await server.operator()).token);
  const { text } = await server.look(`${client.at}/regenerate`, cookie);
  expect(text).toContain('1 source has not moved and will fail.');
});
