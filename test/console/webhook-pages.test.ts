import { startReceiver } from '../webhooks/webhook-receiver.ts';
import { type ConsoleServer, startConsole } from './console-server.ts';

let server: ConsoleServer;
let receiver: Awaited<ReturnType<typeof startReceiver>>;
let cookie: string;

beforeAll(async () => {
  receiver = await startReceiver();
  const env = { KEYTURN_WEBHOOK_NETWORKS: '127.0.0.0/8', KEYTURN_PORTAL_URL: 'https://portal.example' };
  server = await startConsole({ env });
  cookie = await server.signIn((await server.operator()).token);
});
afterAll(async () => {
  await server.close();
  await receiver.close();
});

const send = (path: string, form: Record<string, string> = {}) =>
  server.sendAndLook(`/console${path}`, { once: crypto.randomUUID(), ...form }, cookie);
const look = async (path: string) => (await server.look(`/console${path}`, cookie)).text;

test('a webhook is created, tested, changed, rotated, replayed and deleted with forms', async () => {
  expect(await look('/webhooks')).toContain('No webhooks');
  const wrong = await send('/webhooks/new', { name: 'Chat', url: 'http://hooks.example.com/', receives: 'all' });
  expect([wrong.status, wrong.text]).toEqual([
    400,
    expect.stringContaining('Must be an https URL with a public address.'),
  ]);
  const created = await send('/webhooks/new', {
    name: 'Chat',
    url: receiver.url,
    receives: 'some',
    kind_leak_reported: 'on',
  });
  const [secret = ''] = /whsec_[\w+/]{43}=/.exec(created.text.replaceAll('&#x3D;', '=')) ?? [];
  expect(secret).not.toBe('');
  const { json } = await server.adminFetch('/webhooks');
  expect(json.data).toMatchObject([{ name: 'Chat', kinds: ['leak_reported'] }]);
  const at = `/webhooks/${json.data[0].id}`;
  const page = await look(at);
  expect([page.includes('Leak reported'), page.includes(secret)]).toEqual([true, false]);
  expect((await send(`${at}/test`)).text).toContain('answered with status 204');
  expect(receiver.verifies(secret, receiver.received.at(-1) as never)).toBe(true);
  const { headers } = await server.adminFetch(at);
  const revision = /\d+/.exec(headers.get('etag') ?? '')?.[0] ?? '';
  await send(`${at}/edit`, { name: 'Chat 2', url: receiver.url, receives: 'all', revision });
  expect(await look('/webhooks')).toContain('Chat 2');
  expect((await send(`${at}/rotate`, { overlap_seconds: '3600' })).text).toContain('whsec_');
  expect(await look(at)).toContain('Events are signed with both');
  expect((await send(`${at}/rotation/undo`)).text).toContain('Rotation undone.');
  expect((await send(`${at}/replay`, { since: '' })).status).toBe(400);
  expect((await send(`${at}/replay`, { since: '2020-01-01T00:00' })).text).toContain('delivered again');
  expect((await send(`${at}/disable`)).text).toContain('Nothing is delivered.');
  expect((await send(`${at}/enable`)).text).toContain('Enabled.');
  await send(`${at}/delete`);
  expect(await look('/webhooks')).toContain('No webhooks');
});

test('a link is created with a form, shown once with its code, and withdrawn', async () => {
  const body = { name: 'Sync', kind: 'integration' };
  const { client_id: id } = (await server.adminFetch('/clients', { method: 'POST', body })).json;
  const at = `/clients/${id}`;
  const form = await look(`${at}/handover`);
  const [, confirmation = ''] = /name="confirmation" value="([^"]+)"/.exec(form) ?? [];
  const fields = { confirmation, expires_in: '86400', overlap_seconds: '604800', grace_period_from: 'opened' };
  expect((await send(`${at}/handover`, { ...fields, receiver: '' })).status).toBe(400);
  const created = await send(`${at}/handover`, { ...fields, receiver: 'ann@example.com' });
  expect(created.text).toMatch(/https:\/\/portal\.example\/portal\/handover\/[\w-]{43}/);
  expect(created.text).toMatch(/>\d{8}</);
  expect(await look(at)).toContain('can be opened');
  expect((await send(`${at}/handover/withdraw`)).text).toContain('Withdrew the link.');
  expect(await look(at)).toContain('withdrawn');
});
