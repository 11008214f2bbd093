import { type ConsoleServer, startConsole } from '../console/console-server.ts';
import { freePort } from '../free-port.ts';
import { createBrowser, leadsTo, type OpenidProvider, startOpenidProvider } from './openid-provider.ts';

const minute = 60_000;
const loopback = { KEYTURN_SSO_ALLOWED_NETWORKS: '127.0.0.0/8' };
let moved = 0;
let provider: OpenidProvider;
let server: ConsoleServer;

beforeAll(async () => {
  const port = await freePort();
  provider = await startOpenidProvider({ logoutUri: `http://127.0.0.1:${port}/back-channel-logout/deployment` });
  server = await startConsole({
    clock: () => Date.now() + moved,
    env: {
      ...loopback,
      KEYTURN_ADMIN_PORT: String(port),
      KEYTURN_SSO_ISSUER: provider.issuer,
      KEYTURN_SSO_CLIENT_ID: provider.clientId,
      KEYTURN_SSO_CLIENT_SECRET: provider.clientSecret,
      KEYTURN_SSO_SCOPE: 'openid profile email groups',
      KEYTURN_SSO_GRANTS: 'admins=all; auditors=audit:view',
    },
  });
});
afterAll(async () => {
  await server?.close();
  await provider?.close();
});

type Browser = ReturnType<typeof createBrowser>;

/** Begins a sign-in at a provider, up to its login form. */
async function begin(browser: Browser, id = 'deployment', form: Record<string, string> = {}) {
  const left = await browser.send(`${server.adminUrl}/console/sign-in/with/${id}`, form);
  if (left.status !== 200) return left;
  return await browser.open(leadsTo(left.text));
}

/** Logs in at the login form of a provider. */
const logIn = (browser: Browser, at: { url: string }, account: string) => browser.send(at.url, { account });

async function signIn(account: string, id = 'deployment', form: Record<string, string> = {}) {
  const browser = createBrowser();
  const answer = await logIn(browser, await begin(browser, id, form), account);
  return { browser, ...answer };
}

const look = (browser: Browser, path = '/console/sessions') => browser.ask(`${server.adminUrl}${path}`);
const isSignedIn = async (browser: Browser) => (await look(browser)).response.status === 200;
const contactsNamed = async (q: string) => (await server.adminFetch(`/contacts?q=${encodeURIComponent(q)}`)).json.data;

/** Counts accounts, so that each test has its own. */
let count = 0;
function person(groups: string[], more: object = {}) {
  const account = `person-${++count}`;
  const email = `${account}@example.com`;
  provider.people.set(account, { email, email_verified: true, name: `Person ${count}`, groups, ...more });
  return { account, email };
}

describe('signing in at the identity provider of the deployment', () => {
  it('starts a session with a new contact that has the permissions of the groups', async () => {
    const { account, email } = person(['auditors', 'others']);
    const { browser, status, text } = await signIn(account, 'deployment', { next: '/console/audit?action=x' });
    expect([status, leadsTo(text)]).toEqual([200, '/console/audit?action=x']);
    expect((await look(browser, '/console/audit')).response.status).toBe(200);
    expect((await look(browser, '/console/signing-keys')).response.status).toBe(403);
    expect(await contactsNamed(email)).toEqual([
      expect.objectContaining({ email, permissions: ['audit:view'], operator_token_hint: null }),
    ]);
    const [contact] = await contactsNamed(email);
    const { json } = await server.adminFetch(`/audit-events?target=${contact.id}`);
    expect(json.data.map(({ action }: { action: string }) => action).slice(-3)).toEqual([
      'console.sign_in',
      'contact.link_identity',
      'contact.create',
    ]);
    const sessions = (await server.adminFetch(`/contacts/${contact.id}/sessions`)).json.data;
    expect(sessions).toEqual([expect.objectContaining({ method: 'single_sign_on' })]);
  });

  it('recognizes a person by issuer and sub, whatever the e-mail address says now', async () => {
    const { account, email } = person(['auditors']);
    await signIn(account);
    const [{ id }] = await contactsNamed(email);
    provider.people.set(account, { email: 'renamed@example.com', groups: ['auditors'] });
    const { browser } = await signIn(account);
    const { text } = await look(browser);
    expect(text).toContain('Your sessions');
    expect((await server.adminFetch(`/contacts/${id}/sessions`)).json.data).toHaveLength(2);
    expect(await contactsNamed('renamed@example.com')).toEqual([]);
  });

  it('refuses a person whose claims give no permission, and creates nothing', async () => {
    const { account, email } = person(['others']);
    const { browser, status, text } = await signIn(account);
    expect(status).toBe(403);
    expect(text).toContain('you have no access here');
    expect(await isSignedIn(browser)).toBe(false);
    expect(await contactsNamed(email)).toEqual([]);
  });

  it('takes permissions away at the next sign-in, and ends earlier sessions with them', async () => {
    const { account, email } = person(['admins']);
    const earlier = await signIn(account);
    expect((await look(earlier.browser, '/console/signing-keys')).response.status).toBe(200);
    provider.people.get(account)?.groups?.splice(0, 1, 'auditors');
    const narrowed = await signIn(account);
    expect((await look(narrowed.browser, '/console/signing-keys')).response.status).toBe(403);
    expect(await isSignedIn(earlier.browser)).toBe(false);
    provider.people.get(account)?.groups?.splice(0, 1);
    expect((await signIn(account)).status).toBe(403);
    expect(await isSignedIn(narrowed.browser)).toBe(false);
    expect(await contactsNamed(email)).toEqual([expect.objectContaining({ permissions: [] })]);
  });

  it('says so if the person cancels', async () => {
    const { status, text } = await signIn('nobody');
    expect(status).toBe(401);
    expect(text).toContain('refused the sign-in, or you cancelled it');
  });

  it('keeps the form that was sent after the session had ended', async () => {
    const { account } = person(['admins']);
    const kept = new URLSearchParams({ name: 'Kept <&"', once: 'kept-by-sso' }).toString();
    const { text } = await signIn(account, 'deployment', { next: '/console/integrations/new', kept });
    expect(text).toContain('action="/console/integrations/new"');
    expect(text).toContain('name="name" value="Kept &lt;&amp;&quot;"');
  });

  it.each(['https://evil.example/', '//evil.example/', '/\\evil.example', 'javascript:alert(1)'])(
    'does not lead on to %s',
    async (next) => {
      const { account } = person(['auditors']);
      const { text } = await signIn(account, 'deployment', { next });
      expect(leadsTo(text)).toBe('/console/');
    },
  );

  it('sets the session cookie with SameSite=Strict, and that of the attempt with Lax', async () => {
    const browser = createBrowser();
    const { account } = person(['auditors']);
    const left = await browser.ask(`${server.adminUrl}/console/sign-in/with/deployment`, {
      method: 'POST',
      body: new URLSearchParams(),
      headers: { origin: server.adminUrl },
    });
    expect(left.response.headers.getSetCookie()).toEqual([
      expect.stringMatching(/^keyturn-attempt=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax; Max-Age=600$/),
    ]);
    const form = await browser.open(leadsTo(left.text));
    const back = await toCallback(browser, form.url, account);
    const done = await browser.ask(back);
    expect(done.response.headers.getSetCookie()).toEqual([
      expect.stringMatching(/^keyturn-attempt=;.*Max-Age=0/),
      expect.stringMatching(/^keyturn=p_[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/),
    ]);
  });
});

/** Logs in, and returns the address of the callback without opening it. */
async function toCallback(browser: Browser, loginUrl: string, account: string): Promise<string> {
  let at = loginUrl;
  let init: RequestInit = { method: 'POST', body: new URLSearchParams({ account }) };
  for (let hops = 0; hops < 10; hops++) {
    const { response } = await browser.ask(at, init);
    init = {};
    at = new URL(response.headers.get('location') ?? '', at).href;
    if (at.startsWith(server.adminUrl)) return at;
  }
  throw new Error('no callback');
}

describe('an answer of a provider', () => {
  async function answered() {
    const browser = createBrowser();
    const { account } = person(['auditors']);
    const form = await begin(browser);
    return { browser, back: await toCallback(browser, form.url, account) };
  }

  it('is accepted once', async () => {
    const { browser, back } = await answered();
    const cookies = new Map(browser.cookies(server.adminUrl));
    expect((await browser.ask(back)).response.status).toBe(200);
    for (const [name, value] of cookies) browser.cookies(server.adminUrl).set(name, value);
    const again = await browser.ask(back);
    expect(again.response.status).toBe(401);
    expect(again.text).toContain('was not started in this browser');
  });

  it('is rejected in another browser, with or without a sign-in of its own', async () => {
    const { browser, back } = await answered();
    const other = createBrowser();
    expect((await other.ask(back)).response.status).toBe(401);
    await begin(other);
    expect((await other.ask(back)).response.status).toBe(401);
    expect(await isSignedIn(other)).toBe(false);
    expect((await browser.ask(back)).response.status).toBe(200);
  });

  it('is rejected with another code, state or issuer', async () => {
    for (const [name, value] of [
      ['state', 'wrong'],
      ['code', 'wrong'],
      ['iss', 'https://evil.example'],
    ] as const) {
      const { browser, back } = await answered();
      const changed = new URL(back);
      expect(changed.searchParams.has(name)).toBe(true);
      changed.searchParams.set(name, value);
      const { response } = await browser.ask(changed.href);
      expect([name, response.status, await isSignedIn(browser)]).toEqual([name, 401, false]);
    }
  });

  it('is rejected with the code of another sign-in, which PKCE and the nonce bind to its browser', async () => {
    const [victim, attacker] = [await answered(), await answered()];
    const injected = new URL(attacker.back);
    injected.searchParams.set('code', new URL(victim.back).searchParams.get('code') ?? '');
    expect((await attacker.browser.ask(injected.href)).response.status).toBe(401);
    expect(await isSignedIn(attacker.browser)).toBe(false);
  });

  it('is rejected after ten minutes', async () => {
    const { browser, back } = await answered();
    moved += 10 * minute + 1;
    expect((await browser.ask(back)).response.status).toBe(401);
  });
});

describe('a renewed proof of identity', () => {
  const register = async () =>
    (await server.adminFetch('/clients', { method: 'POST', body: { name: 'Shop', kind: 'integration' } })).json;

  async function askToReveal(groups = ['admins']) {
    const { account } = person(groups);
    const { browser } = await signIn(account);
    moved += 16 * minute;
    const client = await register();
    const path = `${server.adminUrl}/console/clients/${client.client_id}/reveal`;
    const asked = await browser.send(path, {});
    return { account, browser, client, path, asked };
  }

  const confirm = (browser: Browser, next: string, kept = '') =>
    browser.send(`${server.adminUrl}/console/prove/with`, { next, kept });

  it('asks the person to log in again at the provider, and then sends the form again', async () => {
    const { account, browser, client, path, asked } = await askToReveal();
    expect(asked.text).toContain('Confirm with 127.0.0.1');
    expect(asked.text).not.toContain(client.client_secret);
    const left = await confirm(browser, new URL(path).pathname, 'once=1');
    const parameters = new URL(leadsTo(left.text)).searchParams;
    expect([parameters.get('prompt'), parameters.get('max_age')]).toEqual(['login', '300']);
    const form = await browser.open(leadsTo(left.text));
    expect(form.url).toContain('/login/');
    const proved = await logIn(browser, form, account);
    expect(proved.text).toContain(`action="${new URL(path).pathname}"`);
    const shown = await browser.send(path, {});
    expect(shown.text).toContain(client.client_secret);
  });

  it('is not given by another person', async () => {
    const { browser, client, path } = await askToReveal();
    const stranger = person(['admins']);
    const left = await confirm(browser, '/console/');
    browser.cookies(provider.issuer).clear();
    const wrong = await logIn(browser, await browser.open(leadsTo(left.text)), stranger.account);
    expect(wrong.status).toBe(401);
    expect((await browser.send(path, {})).text).not.toContain(client.client_secret);
  });

  it('is not given by an earlier login at the provider', async () => {
    const { browser, client, path } = await askToReveal();
    const left = await confirm(browser, '/console/');
    const silent = new URL(leadsTo(left.text));
    // The person is still logged in at the provider, which then asks for nothing.
    silent.searchParams.delete('prompt');
    silent.searchParams.delete('max_age');
    const answer = await browser.open(silent.href);
    expect(answer.status).toBe(401);
    expect((await browser.send(path, {})).text).not.toContain(client.client_secret);
  });
});

describe('back-channel logout', () => {
  it('ends the sessions of a person who is removed at the provider, and leaves no way in', async () => {
    const { account, email } = person(['admins']);
    const [first, second] = [await signIn(account), await signIn(account)];
    const other = await signIn(person(['admins']).account);
    expect([await isSignedIn(first.browser), await isSignedIn(second.browser)]).toEqual([true, true]);
    provider.people.delete(account);
    await provider.logOut(account);
    expect([await isSignedIn(first.browser), await isSignedIn(second.browser)]).toEqual([false, false]);
    expect(await isSignedIn(other.browser)).toBe(true);
    expect((await signIn(account)).status).toBe(401);
    const [{ id }] = await contactsNamed(email);
    const { json } = await server.adminFetch(`/audit-events?target=${id}&action=session.end_by_provider`);
    expect(json.data[0]).toMatchObject({ actor: 'identity-provider:deployment' });
  });
});

it('shows that a provider cannot be reached, while operator tokens work', async () => {
  const away = await startConsole({
    env: { ...loopback, KEYTURN_SSO_ISSUER: 'http://127.0.0.1:9', KEYTURN_SSO_CLIENT_ID: 'x' },
  });
  const { status, text } = await away.send('/console/sign-in/with/deployment', {});
  expect(status).toBe(503);
  expect(text).toContain('127.0.0.1 cannot be reached');
  expect(text).toContain('sign in with an operator token');
  expect((await away.look('/console/', await away.signIn(await away.operatorToken()))).status).toBe(200);
  await away.close();
});

it('does not connect to a provider at an address that is not public, unless its network is allowed', async () => {
  const body = { name: 'Internal', issuer: provider.issuer.replace('http:', 'https:'), client_id: 'x' };
  const strict = await startConsole();
  const { json } = await strict.adminFetch('/identity-providers', { method: 'POST', body });
  const { status, text } = await strict.send(`/console/sign-in/with/${json.id}`, {});
  expect([status, text.includes('cannot be reached')]).toEqual([503, true]);
  const plain = { ...body, issuer: provider.issuer };
  expect((await strict.adminFetch('/identity-providers', { method: 'POST', body: plain })).status).toBe(400);
  await strict.close();
});
