import { endpointsOf } from '../oauth/fixture.ts';
import { type PortalServer, startPortal } from '../portal/portal-server.ts';
import { startReceiver } from '../webhooks/webhook-receiver.ts';

const hour = 3_600_000;
let now = Date.now();
let server: PortalServer;
let cookie: string;

beforeAll(async () => {
  server = await startPortal({ clock: () => now, env: { KEYTURN_WEBHOOK_NETWORKS: '127.0.0.0/8' } });
  cookie = await server.signIn((await server.operator()).token);
});
afterAll(() => server.close());

const home = async (session = cookie) => (await server.look('/console/', session)).text;

async function post(path: string, body: unknown = {}) {
  const { status, json, text } = await server.adminFetch(path, { method: 'POST', body });
  if (status > 299) throw new Error(`${path}: ${text}`);
  return json;
}

it('shows the first steps in their order until all of them were taken, and what happened lately in sentences', async () => {
  const empty = await home();
  const titles = ['Register the API', 'Generate a Client ID and secret', 'Try it', 'Rotate the secret'];
  const places = titles.map((title) => empty.indexOf(`<span class="strong">${title}</span>`));
  expect(places).toEqual([...places].sort((one, other) => one - other));
  expect(places).not.toContain(-1);
  expect(empty).toContain('0 of 4 done');
  expect(empty).toContain('<a class="button primary" href="/console/resource-servers/new">');
  expect(empty).toContain('Nothing needs attention.');

  await post('/clients', {
    name: 'Shop API',
    kind: 'resource_server',
    resource: 'https://api.example.com',
    information: ['orders'],
  });
  const made = await post('/clients', { name: 'Order sync', kind: 'integration', scope: 'orders:read' });
  expect(await home()).toContain('2 of 4 done');
  const old = { id: made.client_id, secret: made.client_secret };
  const { token } = endpointsOf(server.publicUrl);
  await token(old);
  const review = await post(`/clients/${old.id}/regeneration/review`);
  const turned = await post(`/clients/${old.id}/regenerate`, { confirmation: review.confirmation });
  await server.core.usage.flush();
  const filled = await home();
  expect(filled).not.toContain('First steps');
  expect(filled.replaceAll(/<[^>]*>/g, '')).toMatch(/Operator [^.]* rotated the credential of Order sync/);
  expect(filled).toContain(`<a class="strong" href="/console/clients/${old.id}">Order sync</a>`);
  // A row has one next act.
  expect(filled).toContain(`href="/console/clients/${old.id}/regenerations/${turned.regeneration_id}/extend"`);
});

it('leads from the first API to the first integration, and not from a later API', async () => {
  const fresh = await startPortal();
  const session = await fresh.signIn((await fresh.operator()).token);
  const register = async (resource: string) => {
    const form = { name: 'API', resource, information: 'orders', token_format: 'opaque' };
    return (await fresh.sendAndLook('/console/resource-servers', form, session)).text;
  };
  try {
    const link = '<a class="button primary" href="/console/integrations/new">';
    expect(await register('https://one.example.com')).toContain(link);
    await fresh.adminFetch('/clients', { method: 'POST', body: { name: 'Sync', kind: 'integration' } });
    const later = await register('https://two.example.com');
    expect(later).toContain('Go to API');
    expect(later).not.toContain(link);
  } finally {
    await fresh.close();
  }
});

it('lists an integration that is refused with its ended secret as urgent, with its sources and a link to them', async () => {
  const made = await post('/clients', { name: 'Late partner', kind: 'integration' });
  const review = await post(`/clients/${made.client_id}/regeneration/review`);
  await post(`/clients/${made.client_id}/regenerate`, { confirmation: review.confirmation, overlap_seconds: 0 });
  const { token } = endpointsOf(server.publicUrl);
  const old = { id: made.client_id, secret: made.client_secret };
  for (let count = 0; count < 3; count++) await token(old, {}, { headers: { 'user-agent': 'late/1' } });
  await server.core.usage.flush();
  now += hour;
  const text = await home();
  const [row = ''] = text.split('<tr').filter((each) => each.includes('Late partner'));
  expect(row).toContain('<span class="badge bad">urgent</span>');
  expect(row).toContain('3 requests of 1 source rejected, because the credential has ended.');
  expect(row).toContain('late/1');
  expect(row).toContain(`href="/console/clients/${made.client_id}#use"`);
  expect(row.match(/class="button/g)).toHaveLength(1);
});

it('opens the first section of operators who may not see integrations', async () => {
  const session = await server.signIn((await server.operator(['audit:view'])).token);
  expect(await server.look('/console/', session)).toMatchObject({ status: 303, location: '/console/audit' });
});

it('links a thing to its history, and the history names it', async () => {
  const made = await post('/clients', { name: 'With a history', kind: 'integration' });
  const path = `/console/audit?target=${made.client_id}`;
  expect((await server.look(`/console/clients/${made.client_id}`, cookie)).text).toContain(`href="${path}"`);
  expect((await server.look(path, cookie)).text.replace(/<[^>]+>/g, '')).toContain('registered With a history');
  const viewer = await server.signIn((await server.operator(['integrations:view'])).token);
  expect((await server.look(`/console/clients/${made.client_id}`, viewer)).text).not.toContain(`href="${path}"`);
});

it('lists a webhook that was disabled after days of failures, in the portal only one of the organization', async () => {
  const receiver = await startReceiver();
  receiver.state.status = 503;
  const { id: organization } = await post('/organizations', { name: 'Acme' });
  const of = { organization_id: organization };
  const kinds = { kinds: ['grace_period_began'] };
  const ours = await post('/webhooks', { name: 'Ops chat', url: receiver.url, ...kinds });
  const theirs = await post('/webhooks', { name: 'Acme hooks', url: 'https://hooks.invalid/', ...kinds, ...of });
  const { client_id: client } = await post('/clients', { name: 'Acme sync', kind: 'integration', ...of });
  const { confirmation } = await post(`/clients/${client}/regeneration/review`);
  await post(`/clients/${client}/regenerate`, { confirmation, overlap_seconds: 2_592_000 });
  const disabled = async () => (await server.adminFetch('/attention')).json.data.filter(isOfWebhook);
  const isOfWebhook = ({ kind }: { kind: string }) => kind === 'webhook_disabled';
  await server.core.notices.turn();
  expect(await disabled()).toEqual([]);
  for (let hours = 0; hours < 80; hours += 4, now += 4 * hour) await server.core.notices.turn();
  await receiver.close();
  expect(await disabled()).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ urgency: 'soon', webhook_id: theirs.id, name: 'Acme hooks', client_id: null }),
      expect.objectContaining({
        webhook_id: ours.id,
        message:
          'The webhook was disabled, because nothing could be delivered to it. The receiver answered with status 503.',
        next_step: expect.stringContaining('enable the webhook'),
      }),
    ]),
  );
  const session = await server.signIn((await server.operator()).token);
  const listed = await home(session);
  for (const { id } of [ours, theirs]) expect(listed).toContain(`href="/console/webhooks/${id}"`);
  const { id: ann } = await post('/contacts', { name: 'Ann', email: 'ann@acme.example', ...of });
  const visitor = await server.enter({ contact_id: ann }, ['integrations:view']);
  const { text } = await server.open('/portal/', visitor);
  expect([text.includes('Acme hooks'), text.includes('Ops chat')]).toEqual([true, false]);
  // An operator who disables one knows it.
  for (const { id } of [ours, theirs]) await post(`/webhooks/${id}/enable`);
  await post(`/webhooks/${ours.id}/disable`);
  expect(await disabled()).toEqual([]);
});
