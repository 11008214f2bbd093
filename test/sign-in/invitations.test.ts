import { cookieOf } from '../console/console-server.ts';
import { type MailServer, mailEnvironment, startMailServer } from '../notices/mail-server.ts';
import { type PortalServer, portalCookie, startPortal } from '../portal/portal-server.ts';

const day = 86_400_000;
let now = Date.now();
let mail: MailServer;
let server: PortalServer;

beforeAll(async () => {
  mail = await startMailServer();
  server = await startPortal({ clock: () => now, env: mailEnvironment(mail.port) });
});
afterAll(async () => {
  await server?.close();
  await mail?.close();
});

const invite = async (body: object, token?: string) =>
  await server.adminFetch('/invitations', { method: 'POST', token, body });
const codeOf = (url: string) => new URL(url).searchParams.get('code') ?? '';
const ann = { email: 'ann@example.com', name: 'Ann', permissions: ['integrations:view'] };
const signIn = async (url: string) => await server.send('/console/sign-in', { code: codeOf(url) });

test('an invited person signs in once by the link, and then gets an operator token that is shown once', async () => {
  const { status, json } = await invite(ann);
  expect([status, json.site, json.state]).toEqual([201, 'console', 'open']);
  expect((await server.look(json.url.slice(json.url.indexOf('/console')))).status).toBe(200);
  const entered = await signIn(json.url);
  expect(entered.status).toBe(303);
  expect((await signIn(json.url)).status).toBe(401);
  expect((await server.adminFetch('/invitations')).json.data[0]).toMatchObject({ id: json.id, state: 'accepted' });

  const cookie = cookieOf(entered);
  expect((await server.look('/console/welcome', cookie)).text).toContain('Show my operator token');
  const shown = await server.sendAndLook('/console/welcome/token', {}, cookie);
  const token = /<code id="operator-token">(kto_\w+)<\/code>/.exec(shown.text)?.[1] ?? '';
  expect((await server.adminFetch('/me', { token })).json.id).toBe(json.contact_id);
  const again = await server.signIn(token);
  expect((await server.send('/console/welcome/token', {}, again)).status).toBe(403);
});

test('a session that no invitation started does not give its holder another operator token', async () => {
  const { token } = await server.operator(['integrations:view']);
  expect((await server.send('/console/welcome/token', {}, await server.signIn(token))).status).toBe(403);
});

test('the link ends after seven days, when it is sent again, and when it is withdrawn', async () => {
  const contact = { contact_id: (await invite({ ...ann, email: 'bob@example.com', name: 'Bob' })).json.contact_id };
  const first = (await invite(contact)).json;
  now += 7 * day;
  expect((await signIn(first.url)).status).toBe(401);
  const again = await server.adminFetch(`/invitations/${first.id}/resend`, { method: 'POST', body: {} });
  expect(again.status).toBe(201);
  const third = await server.adminFetch(`/invitations/${again.json.id}/resend`, { method: 'POST', body: {} });
  expect((await signIn(again.json.url)).status).toBe(401);
  expect((await server.adminFetch(`/invitations/${third.json.id}`, { method: 'DELETE' })).status).toBe(204);
  expect((await signIn(third.json.url)).status).toBe(401);
  const short = (await invite({ ...contact, expires_in: 300 })).json;
  now += 299_000;
  expect((await signIn(short.url)).status).toBe(303);
});

test('nobody invites to more than they may do, and a token with limits invites nobody', async () => {
  const { token } = await server.operator(['contacts:manage']);
  expect((await invite({ ...ann, email: 'carl@example.com' }, token)).status).toBe(403);
  const strong = await server.operator();
  expect((await invite({ contact_id: strong.id }, token)).status).toBe(403);
  const named = await server.adminFetch('/operator-tokens', { method: 'POST', body: { name: 'Pipeline' } });
  expect((await invite({ contact_id: strong.id }, named.json.operator_token)).status).toBe(403);
});

test('a person of an organization is invited to the portal, and only its operators see that', async () => {
  const { id: acme } = await server.post('/organizations', { name: 'Acme' });
  const { id: other } = await server.post('/organizations', { name: 'Other' });
  const body = { email: 'zoe@acme.example', name: 'Zoe', organization_id: acme, permissions: ['integrations:view'] };
  const { json } = await invite(body);
  expect(json).toMatchObject({ site: 'portal', organization_id: acme });
  const stranger = await server.post('/contacts', {
    name: 'Stranger',
    email: 's@other.example',
    organization_id: other,
    permissions: ['contacts:manage'],
  });
  const { operator_token: token } = await server.post(`/contacts/${stranger.id}/operator-token`);
  expect((await server.adminFetch('/invitations', { token })).json.data).toEqual([]);
  expect((await server.adminFetch(`/invitations/${json.id}`, { method: 'DELETE', token })).status).toBe(404);
  const path = json.url.slice(json.url.indexOf('/portal/'));
  expect((await server.open(path)).text).toContain('Continue as Zoe');
  expect((await signIn(json.url)).status).toBe(401);
  const entered = await server.submit('/portal/sign-in', { code: codeOf(json.url), next: '/console/welcome' });
  expect([entered.status, entered.location]).toEqual([303, '/portal/welcome']);
  const cookie = portalCookie(entered).split(';')[0] ?? '';
  expect((await server.open('/portal/welcome', cookie)).text).toContain('You are signed in');
  expect((await server.submit('/portal/sign-in', { code: codeOf(json.url) })).status).toBe(401);
});

test('the contact gets the link by e-mail, which no list of notices shows', async () => {
  await server.core.notices.turn();
  now += 2 * 60 * 60_000;
  await server.core.notices.turn();
  mail.mails.length = 0;
  const { json } = await invite({ ...ann, email: 'mia@example.com', name: 'Mia' });
  await server.core.notices.turn();
  now += 60_000;
  await server.core.notices.turn();
  const received = mail.mails.find(({ text }) => text?.includes(codeOf(json.url)));
  expect(received?.subject).toContain('invites you');
  const { text } = await server.adminFetch(`/notices?subject=${json.contact_id}`);
  expect([text.includes('"invited"'), text.includes(codeOf(json.url))]).toEqual([true, false]);
});

test('the console invites, shows the link, sends it again and withdraws it', async () => {
  const cookie = await server.signIn(await server.operatorToken());
  const form = { name: 'Leo', email: 'leo@example.com', permissions: 'audit:view', once: crypto.randomUUID() };
  const made = await server.sendAndLook('/console/invitations/new', form, cookie);
  const link = (text: string) =>
    /<code id="invitation-link">([^<]*)<\/code>/.exec(text)?.[1]?.replaceAll('&amp;', '&') ?? '';
  const first = link(made.text);
  const list = (await server.look('/console/invitations', cookie)).text;
  const at = /action="(\/console\/invitations\/[^"]+)\/resend"/.exec(list)?.[1] ?? '';
  const again = await server.sendAndLook(`${at}/resend`, { once: crypto.randomUUID() }, cookie);
  expect((await signIn(first)).status).toBe(401);
  const next = (await server.look('/console/invitations', cookie)).text;
  const open = /action="(\/console\/invitations\/[^"]+)\/withdraw"/.exec(next)?.[1] ?? '';
  expect((await server.sendAndLook(`${open}/withdraw`, {}, cookie)).text).toContain('Withdrew the invitation.');
  expect((await signIn(link(again.text))).status).toBe(401);
});
