import type { JWTPayload } from 'jose';
import { permissions } from '../../src/contacts/contact.ts';
import { type ConsoleServer, startConsole } from '../console/console-server.ts';
import { type HostileProvider, startHostileProvider } from './hostile-provider.ts';
import { createBrowser, leadsTo } from './openid-provider.ts';

const loopback = { KEYTURN_SSO_ALLOWED_NETWORKS: '127.0.0.0/8' };
const logoutEvent = { 'http://schemas.openid.net/event/backchannel-logout': {} };
let server: ConsoleServer;
let provider: HostileProvider;
let rival: HostileProvider;
/** Ids of both providers at Keyturn. */
let id: string;
let rivalId: string;

beforeAll(async () => {
  server = await startConsole({ env: loopback });
  [provider, rival] = await Promise.all([startHostileProvider('keyturn'), startHostileProvider('keyturn')]);
  const add = async ({ issuer }: HostileProvider, more: object = {}) =>
    (
      await server.adminFetch('/identity-providers', {
        method: 'POST',
        body: {
          name: 'Login',
          issuer,
          client_id: 'keyturn',
          grants: [{ value: '*', permissions: ['integrations:view'] }],
          ...more,
        },
      })
    ).json.id;
  id = await add(provider);
  rivalId = await add(rival);
});
afterAll(async () => {
  await server?.close();
  await provider?.close();
  await rival?.close();
});
beforeEach(() => {
  provider.changes = {};
  rival.changes = {};
});

const email = (name: string) => ({ email: `${name}@example.com`, email_verified: true });

async function signIn(at = id) {
  const browser = createBrowser();
  const left = await browser.send(`${server.adminUrl}/console/sign-in/with/${at}`, {});
  const { status, text } = await browser.open(leadsTo(left.text));
  const { response } = await browser.ask(`${server.adminUrl}/console/sessions`);
  return { browser, status, text, isSignedIn: response.status === 200 };
}

describe('an ID token', () => {
  it('is accepted if it is correct', async () => {
    provider.changes = { claims: email('correct') };
    expect(await signIn()).toMatchObject({ status: 200, isSignedIn: true });
  });

  it.each<[string, HostileProvider['changes']]>([
    ['of another client', { claims: { aud: 'another' } }],
    ['for another authorized party', { claims: { aud: ['keyturn', 'another'], azp: 'another' } }],
    ['with another nonce', { claims: { nonce: 'another' } }],
    ['without a nonce', { claims: { nonce: undefined } }],
    ['of another issuer', { claims: { iss: 'https://other.example' } }],
    ['that has expired', { claims: { exp: Math.floor(Date.now() / 1_000) - 600 } }],
    ['that is signed with another key', { isForged: true }],
    ['with a key ID that the provider does not publish', { header: { kid: 'unknown' } }],
  ])('%s is rejected', async (_, changes) => {
    provider.changes = { ...changes, claims: { ...email('rejected'), ...changes.claims } };
    expect(await signIn()).toMatchObject({ status: 401, isSignedIn: false });
  });
});

describe('two providers', () => {
  it('cannot be mixed up: the answer of one is not accepted at the redirect URI of the other', async () => {
    const browser = createBrowser();
    const left = await browser.send(`${server.adminUrl}/console/sign-in/with/${id}`, {});
    const { response } = await browser.ask(leadsTo(left.text));
    const back = response.headers.get('location') ?? '';
    expect(back).toContain(id);
    const answer = await browser.ask(back.replace(id, rivalId));
    expect(answer.response.status).toBe(401);
    expect((await browser.ask(`${server.adminUrl}/console/sessions`)).response.status).toBe(303);
  });

  it('do not share people: the same sub at another issuer is somebody else', async () => {
    provider.changes = { claims: { sub: 'same', ...email('first') } };
    rival.changes = { claims: { sub: 'same', ...email('second') } };
    await signIn(id);
    await signIn(rivalId);
    const { json } = await server.adminFetch('/contacts?q=first@example.com');
    const sessions = (await server.adminFetch(`/contacts/${json.data[0].id}/sessions`)).json.data;
    expect(sessions).toHaveLength(1);
  });
});

describe('the e-mail address in a claim', () => {
  const target = async () => {
    const address = `${crypto.randomUUID()}@example.com`;
    const body = { name: 'Ann', email: address, permissions: ['api_key:manage'] };
    return { address, contact: (await server.adminFetch('/contacts', { method: 'POST', body })).json.id };
  };
  const permissionsOf = async (contact: string) => (await server.adminFetch(`/contacts/${contact}`)).json.permissions;
  const set = (body: object) => server.adminFetch(`/identity-providers/${id}`, { method: 'PATCH', body });

  it('does not make somebody the contact with that address, unless the provider may match by it', async () => {
    const { address, contact } = await target();
    provider.changes = { claims: { sub: crypto.randomUUID(), email: address, email_verified: true } };
    await signIn();
    expect(await permissionsOf(contact)).toEqual(['api_key:manage']);
    expect((await server.adminFetch(`/contacts/${contact}/sessions`)).json.data).toEqual([]);
  });

  it.each<[string, JWTPayload]>([
    ['that is not verified', { email_verified: false }],
    ['that nobody says is verified', { email_verified: undefined }],
    ['that is verified in words', { email_verified: 'true' }],
  ])('%s matches nobody', async (_, claims) => {
    await set({ links_by_email: true, creates_contacts: false });
    const { address, contact } = await target();
    provider.changes = { claims: { sub: crypto.randomUUID(), email: address, ...claims } };
    expect(await signIn()).toMatchObject({ status: 403, isSignedIn: false });
    expect(await permissionsOf(contact)).toEqual(['api_key:manage']);
  });

  it('matches the one contact with that address if it is verified and the provider may, and nobody a second time', async () => {
    await set({ links_by_email: true, creates_contacts: false });
    const { address, contact } = await target();
    const sub = crypto.randomUUID();
    provider.changes = { claims: { sub, email: address.toUpperCase(), email_verified: true } };
    expect(await signIn()).toMatchObject({ status: 200, isSignedIn: true });
    expect(await permissionsOf(contact)).toEqual(['integrations:view']);
    provider.changes = { claims: { sub: crypto.randomUUID(), email: address, email_verified: true } };
    expect(await signIn()).toMatchObject({ status: 403, isSignedIn: false });
    await set({ links_by_email: false, creates_contacts: true });
  });
});

describe('the provider of an organization', () => {
  let organization: string;
  let partner: string;

  beforeAll(async () => {
    const body = { name: 'Acme', external_id: 'acme' };
    organization = (await server.adminFetch('/organizations', { method: 'POST', body })).json.id;
    const grants = [{ value: '*', permissions: ['integrations:view', 'contacts:manage'] }];
    const given = {
      name: 'Acme login',
      issuer: rival.issuer,
      client_id: 'keyturn',
      organization_id: organization,
      grants,
    };
    const made = await server.adminFetch('/identity-providers', {
      method: 'POST',
      body: { ...given, links_by_email: true, email_domains: ['acme.example'] },
    });
    partner = made.json.id;
  });

  it.each(['acme', 'ann@acme.example', 'ACME.example'])('is found by %s', async (text) => {
    const page = await server.look(`/console/sign-in/find?q=${encodeURIComponent(text)}`);
    expect(page.text).toContain(`/console/sign-in/with/${partner}`);
    expect(page.text).not.toContain(`/console/sign-in/with/${id}`);
  });

  it('is not found by something else, nor listed for everyone', async () => {
    const page = await server.look('/console/sign-in/other');
    expect(page.text).toContain('No organization with an identity provider was found');
    expect(page.text).not.toContain(partner);
    expect((await server.look('/console/sign-in/acme')).text).toContain(partner);
  });

  it('signs in people of that organization only, who see nothing else', async () => {
    const ann = { name: 'Ann', email: 'ann@deployment.example', permissions };
    const { json } = await server.adminFetch('/contacts', { method: 'POST', body: ann });
    rival.changes = { claims: { sub: 'partner-ann', email: 'ann@deployment.example', email_verified: true } };
    const { browser, isSignedIn } = await signIn(partner);
    expect(isSignedIn).toBe(true);
    // The contact of the deployment with that address is another one.
    expect((await server.adminFetch(`/contacts/${json.id}`)).json.permissions).toEqual([...permissions]);
    const found = (await server.adminFetch(`/contacts?organization_id=${organization}`)).json.data;
    expect(found).toEqual([expect.objectContaining({ email: 'ann@deployment.example' })]);
    const list = await browser.ask(`${server.adminUrl}/console/contacts/${json.id}`);
    expect(list.response.status).toBe(404);
  });

  it('is changed only by operators who have every permission that it gives, within their organization', async () => {
    const body = {
      name: 'Own',
      email: 'own@acme.example',
      organization_id: organization,
      permissions: ['contacts:manage'],
    };
    const { json } = await server.adminFetch('/contacts', { method: 'POST', body });
    const issued = await server.adminFetch(`/contacts/${json.id}/operator-token`, { method: 'POST' });
    const token = issued.json.operator_token;
    const path = `/identity-providers/${partner}`;
    const tooMuch = await server.adminFetch(path, { method: 'PATCH', token, body: { issuer: 'https://evil.example' } });
    expect(tooMuch.status).toBe(403);
    const other = await server.adminFetch(`/identity-providers/${id}`, { method: 'PATCH', token, body: { name: 'X' } });
    expect(other.status).toBe(404);
    const own = { name: 'Own', issuer: 'https://own.example', client_id: 'x' };
    const refused = [
      { ...own, grants: [{ value: '*', permissions: ['api_key:manage'] }] },
      { ...own, email_domains: ['elsewhere.example'] },
    ];
    for (const each of refused) {
      expect((await server.adminFetch('/identity-providers', { method: 'POST', token, body: each })).status).toBe(403);
    }
    const foreign = {
      value: '*',
      permissions: ['contacts:manage'],
      organization_id: '00000000-0000-8000-8000-000000000001',
    };
    const across = await server.adminFetch('/identity-providers', {
      method: 'POST',
      token,
      body: { ...own, grants: [foreign] },
    });
    expect(across.status).toBe(400);
  });

  it('lets nobody in while its organization is disabled, or after it was disabled itself', async () => {
    rival.changes = { claims: { sub: 'partner-bo', ...email('bo') } };
    const before = await signIn(partner);
    expect(before.isSignedIn).toBe(true);
    await server.adminFetch(`/organizations/${organization}/disable`, { method: 'POST' });
    expect((await before.browser.ask(`${server.adminUrl}/console/sessions`)).response.status).toBe(303);
    expect(await signIn(partner)).toMatchObject({ status: 403, isSignedIn: false });
    await server.adminFetch(`/organizations/${organization}/enable`, { method: 'POST' });
    const again = await signIn(partner);
    await server.adminFetch(`/identity-providers/${partner}`, { method: 'PATCH', body: { status: 'disabled' } });
    expect((await again.browser.ask(`${server.adminUrl}/console/sessions`)).response.status).toBe(303);
    const { status } = await server.send(`/console/sign-in/with/${partner}`, {});
    expect(status).toBe(404);
  });
});

describe('a logout token', () => {
  const deliver = async (token: string, to = id) =>
    (
      await fetch(`${server.adminUrl}/back-channel-logout/${to}`, {
        method: 'POST',
        body: new URLSearchParams({ logout_token: token }),
      })
    ).status;

  async function signedIn() {
    const sub = crypto.randomUUID();
    provider.changes = { claims: { sub, sid: `sid of ${sub}`, ...email(sub) } };
    const { browser } = await signIn();
    const isIn = async () => (await browser.ask(`${server.adminUrl}/console/sessions`)).response.status === 200;
    expect(await isIn()).toBe(true);
    return { sub, isIn };
  }

  it.each(['sub', 'sid'])('ends the sessions that it names by %s', async (name) => {
    const { sub, isIn } = await signedIn();
    const other = await signedIn();
    const whose = name === 'sub' ? { sub } : { sid: `sid of ${sub}` };
    const token = await provider.sign({ ...whose, events: logoutEvent }, { header: { typ: 'logout+jwt' } });
    expect(await deliver(token)).toBe(200);
    expect([await isIn(), await other.isIn()]).toEqual([false, true]);
  });

  it.each<[string, JWTPayload, Parameters<HostileProvider['sign']>[1]]>([
    ['that is forged', {}, { isForged: true }],
    ['for another client', { aud: 'another' }, {}],
    ['of another issuer', { iss: 'https://other.example' }, {}],
    ['with a nonce, such as an ID token', { nonce: 'n' }, {}],
    ['without the event', { events: {} }, {}],
    ['of another type', {}, { header: { typ: 'at+jwt' } }],
    ['that is old', { iat: Math.floor(Date.now() / 1_000) - 1_000 }, {}],
  ])('%s is rejected', async (_, claims, more) => {
    const { sub, isIn } = await signedIn();
    const token = await provider.sign({ sub, events: logoutEvent, ...claims }, more);
    expect(await deliver(token)).toBe(400);
    expect(await isIn()).toBe(true);
  });

  it('of one provider does not end the sessions of another', async () => {
    const { sub, isIn } = await signedIn();
    const token = await rival.sign({ sub, events: logoutEvent });
    expect([await deliver(token, rivalId), await deliver(token, id)]).toEqual([200, 400]);
    expect(await isIn()).toBe(true);
  });
});
