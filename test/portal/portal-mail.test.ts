import { type MailServer, mailEnvironment, startMailServer } from '../notices/mail-server.ts';
import { createStatementRecorder } from '../record-statements.ts';
import { minute } from '../regeneration/world.ts';
import { type PortalServer, portalCookie, startPortal } from './portal-server.ts';

const recorder = createStatementRecorder();
let time = Date.now();
let mail: MailServer;
let server: PortalServer;
let acme: string;

beforeAll(async () => {
  mail = await startMailServer();
  server = await startPortal({ clock: () => time, env: mailEnvironment(mail.port), tracing: recorder.tracing });
  acme = await organization('Acme', { name: 'Parcel Cloud' });
  await contact(acme, 'ann@acme.example', ['integrations:view']);
});
afterAll(async () => {
  await server.close();
  await mail.close();
});
beforeEach(() => {
  time += 20 * minute;
  mail.mails.length = 0;
});

async function organization(name: string, portal: object = {}): Promise<string> {
  return (await server.post('/organizations', { name, portal })).id;
}

async function contact(of: string, email: string, permissions: string[] = [], name = 'Ann Lee'): Promise<string> {
  return (await server.post('/contacts', { organization_id: of, email, name, permissions })).id;
}

/** Enters an address into the form, and lets the mails be sent. Returns the cookie of the browser. */
async function request(email: string, cookie = '', more: Record<string, string> = {}): Promise<string> {
  const asked = await server.submit('/portal/sign-in/mail', { email, ...more }, cookie);
  expect([asked.status, asked.location]).toEqual([303, '/portal/sign-in/mail']);
  await server.core.notices.turn();
  return mailCookie(asked.headers);
}

function mailCookie(headers: Headers): string {
  const set = headers.getSetCookie().find((each) => each.startsWith('keyturn-portal-mail=')) ?? '';
  expect(set).toMatch(/^keyturn-portal-mail=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax; Max-Age=900$/);
  return set.split(';')[0] ?? '';
}

const received = () => mail.mails.filter(({ subject }) => subject?.startsWith('Sign in to'));
const links = (at = 0) => received()[at]?.text?.match(/http:\/\/localhost:\d+\/portal\/sign-in\S+/g) ?? [];
const codeOf = (url = '') => new URL(url).searchParams.get('code') ?? '';
const use = (url: string | undefined, cookie: string) =>
  server.submit('/portal/sign-in', { code: codeOf(url) }, cookie);

it('sends a link to the address, which signs in once in the browser that requested it', async () => {
  const form = await server.open('/portal/sign-in?next=%2Fconsole%2Fsessions');
  expect(form.text).toContain('action="/portal/sign-in/mail"');
  const cookie = await request('Ann@ACME.example', '', { next: '/console/sessions' });
  expect(received().map(({ subject, recipients }) => [subject, recipients])).toEqual([
    ['Sign in to Parcel Cloud', ['ann@acme.example']],
  ]);
  const [link] = links();
  const elsewhere = await server.open(link ?? '');
  expect([elsewhere.status, elsewhere.text.includes('only in the browser in which it was requested')]).toEqual([
    401,
    true,
  ]);
  expect((await use(link, '')).status).toBe(401);
  const page = await server.open(link ?? '', cookie);
  expect([page.status, page.text.includes('Continue as Ann Lee')]).toEqual([200, true]);
  const entered = await use(link, cookie);
  expect([entered.status, entered.location]).toEqual([303, '/portal/sessions']);
  const [session = ''] = portalCookie(entered).split(';');
  const home = await server.open('/portal/', session);
  expect([home.status, home.text.includes('Ann Lee')]).toEqual([200, true]);
  expect((await server.open('/portal/integrations/new', session)).status).toBe(403);
  expect((await use(link, cookie)).status).toBe(401);
});

it('answers an unknown address with the same response and the same statements as a known one', async () => {
  const answers = [];
  for (const email of ['ann@acme.example', 'nobody@acme.example']) {
    const recorded = recorder.next();
    const headers = { origin: server.portalUrl, ...recorded.headers };
    const {
      status,
      location,
      text,
      headers: sent,
    } = await server.submit('/portal/sign-in/mail', { email }, '', headers);
    const names = [...sent.keys()].sort();
    answers.push({ status, location, text, names, statements: recorded.statements() });
  }
  expect(answers[0]?.statements.filter((sql) => sql.startsWith('INSERT INTO mail_link_requests'))).toHaveLength(1);
  expect(answers[0]).toEqual(answers[1]);
  await server.core.notices.turn();
  expect(received().map(({ recipients }) => recipients)).toEqual([['ann@acme.example']]);
});

it('sends one mail with a link for each organization of the person, and none to people of the deployment', async () => {
  const beta = await organization('Beta');
  const gone = await organization('Gone');
  for (const id of [acme, beta, gone]) await contact(id, 'both@people.example', [], `Bo of ${id}`);
  await server.adminFetch(`/organizations/${gone}/disable`, { method: 'POST' });
  const deployment = { name: 'Op', email: 'both@people.example', permissions: ['audit:view'] };
  await server.post('/contacts', deployment);
  const cookie = await request('both@people.example');
  expect(received()).toHaveLength(1);
  expect(received()[0]?.text).toMatch(/Sign in for Acme:[\s\S]+Sign in for Beta:/);
  const urls = links();
  expect(urls).toHaveLength(2);
  for (const [index, id] of [acme, beta].entries()) {
    const entered = await use(urls[index], cookie);
    const page = await server.open('/portal/sessions', portalCookie(entered).split(';')[0]);
    expect([page.status, page.text.includes(`Bo of ${id}`)]).toEqual([200, true]);
  }
});

it('sends one mail a minute to an address, which every browser that requested one can use', async () => {
  const first = await request('ann@acme.example');
  const second = await request('ann@acme.example');
  expect(await request('ann@acme.example', second)).toBe(second);
  expect(received()).toHaveLength(1);
  expect((await server.open(links()[0] ?? '', second)).status).toBe(200);
  expect((await use(links()[0], first)).status).toBe(303);
  time += minute + 1;
  await request('ann@acme.example', second);
  expect(received()).toHaveLength(2);
  for (let minutes = 0; minutes < 10; minutes++) {
    time += minute + 1;
    await request('ann@acme.example', second);
  }
  expect(received()).toHaveLength(5);
});

it('ends the link after 15 minutes, and sends none that has ended', async () => {
  const cookie = await request('ann@acme.example');
  time += 15 * minute;
  expect((await use(links()[0], cookie)).status).toBe(401);
  mail.answer = () => Object.assign(new Error('busy'), { responseCode: 451 });
  await request('ann@acme.example');
  mail.answer = () => undefined;
  time += 15 * minute;
  await server.core.notices.turn();
  expect(received()).toHaveLength(1);
});

it('leads people of an organization with an identity provider to it', async () => {
  const of = await organization('Gamma');
  const provider = { organization_id: of, name: 'Gamma SSO', issuer: 'https://sso.gamma.example', client_id: 'kt' };
  await server.post('/identity-providers', { ...provider, claim: 'groups' });
  await contact(of, 'gus@gamma.example');
  await request('gus@gamma.example');
  expect(links()).toEqual([`${server.core.config.portalUrl}/portal/sign-in/${of}`]);
});

it('rejects what is no address', async () => {
  expect((await server.submit('/portal/sign-in/mail', { email: 'no address' })).status).toBe(400);
});

it('limits the requests of a network, whether or not the address is known', async () => {
  const from = { origin: server.portalUrl, 'x-forwarded-for': '203.0.113.9' };
  const statuses = [];
  for (let requests = 0; requests < 11; requests++) {
    const email = requests % 2 ? 'ann@acme.example' : `nobody${requests}@acme.example`;
    statuses.push((await server.submit('/portal/sign-in/mail', { email }, '', from)).status);
  }
  expect(statuses).toEqual([...Array(10).fill(303), 429]);
});

it('is a notice that cannot be switched off and contains no link, and an audit event without an operator', async () => {
  await server.adminFetch('/notices/settings', { method: 'PATCH', body: { kinds: { portal_link_requested: false } } });
  await request('ann@acme.example');
  const { json, text } = await server.adminFetch('/notices?kind=portal_link_requested&limit=1');
  expect(json.data[0]).toMatchObject({
    subject: { name: 'Ann Lee' },
    deliveries: [{ channel: 'mail_link', state: 'delivered' }],
  });
  const { json: log, text: events } = await server.adminFetch('/audit-events?action=portal.mail_link&limit=1');
  expect(log.data[0]).toMatchObject({ actor: 'keyturn', target_type: 'contact' });
  const code = codeOf(links()[0]);
  expect(code).toHaveLength(43);
  for (const shown of [text, events]) expect(shown).not.toContain(code);
});

it('does not offer the form in a frame, whose cookies other tabs do not have', async () => {
  const framed = await server.submit('/portal/sign-in', { code: 'x' }, '', {
    origin: server.portalUrl,
    'sec-fetch-dest': 'iframe',
  });
  expect(framed.text).not.toContain('/portal/sign-in/mail');
});
