import { createHash, randomBytes } from 'node:crypto';
import { generateRootKey } from '../../src/storage/open-database.ts';
import { runJson } from '../cli/run-command.ts';
import { type ConsoleServer, startConsole } from '../console/console-server.ts';
import { eventually } from '../eventually.ts';
import { freePort } from '../free-port.ts';
import { createTestStores, type Stores } from '../harness.ts';
import { askPostgres } from '../services.ts';
import { createBrowser, leadsTo, type OpenidProvider, startOpenidProvider } from './openid-provider.ts';

const minute = 60_000;
let moved = 0;
let provider: OpenidProvider;
/** All providers, whose answers are counted together. */
const providers: OpenidProvider[] = [];
let stores: Stores;
let server: ConsoleServer;
/** Another process of the same deployment. */
let other: ConsoleServer;

beforeAll(async () => {
  provider = await start();
  stores = await createTestStores();
  const env = {
    KEYTURN_SSO_ALLOWED_NETWORKS: '127.0.0.0/8',
    KEYTURN_SSO_ISSUER: provider.issuer,
    KEYTURN_SSO_CLIENT_ID: provider.clientId,
    KEYTURN_SSO_CLIENT_SECRET: provider.clientSecret,
    KEYTURN_SSO_SCOPE: 'openid profile email groups offline_access',
    KEYTURN_SSO_GRANTS: 'admins=all; auditors=audit:view',
    KEYTURN_FAILURES_PER_MINUTE: '0',
    KEYTURN_SESSION_IDLE: '43200',
  };
  const clock = () => Date.now() + moved;
  server = await startConsole({ stores, clock, env });
  other = await startConsole({ stores, clock, env });
});
afterAll(async () => {
  await other?.close();
  await server?.close();
  await provider?.close();
});

/** Starts a provider. */
async function start(options?: Parameters<typeof startOpenidProvider>[0]): Promise<OpenidProvider> {
  const started = await startOpenidProvider(options);
  providers.push(started);
  return started;
}

type Browser = ReturnType<typeof createBrowser>;

async function signIn(account: string, id = 'deployment') {
  const browser = createBrowser();
  const left = await browser.send(`${server.adminUrl}/console/sign-in/with/${id}`, {});
  const form = await browser.open(leadsTo(left.text));
  return { browser, ...(await browser.send(form.url, { account })) };
}

const isSignedIn = async (browser: Browser) =>
  (await browser.ask(`${server.adminUrl}/console/sessions`)).response.status === 200;

/** Counts accounts, so that each test has its own. */
let count = 0;
function person(groups: string[] = ['admins'], at = provider) {
  const account = `person-${++count}`;
  at.people.set(account, { email: `${account}@example.com`, email_verified: true, name: account, groups });
  return account;
}

/** Signs a person in, and issues a named operator token for them. */
async function operator(account = person(), id = 'deployment') {
  const { browser } = await signIn(account, id);
  expect(await isSignedIn(browser)).toBe(true);
  const [contact] = (await server.adminFetch(`/contacts?q=${account}`)).json.data;
  const body = { contact_id: contact.id, name: 'Pipeline', permissions: ['audit:view', 'integrations:view'] };
  const { status, json } = await server.adminFetch('/operator-tokens', { method: 'POST', body });
  expect(status).toBe(201);
  return { account, browser, contact: contact.id as string, token: json.operator_token as string };
}

const statusOf = async (token: string, path = '/audit-events') => (await server.adminFetch(path, { token })).status;
const asksFor = (account: string, at = provider) => at.refreshed.filter((each) => each === account).length;

/** Adds up the checks of both processes by outcome. */
async function checks(outcome: string): Promise<number> {
  const counts = await Promise.all(
    [server, other].map(async ({ adminUrl }) => {
      const text = await (await fetch(`${adminUrl}/metrics`)).text();
      return Number(
        new RegExp(`^keyturn_identity_provider_checks_total{result="${outcome}"} (\\d+)`, 'm').exec(text)?.[1],
      );
    }),
  );
  return counts.reduce((sum, each) => sum + each, 0);
}

/** Moves the clock by a minute, and waits until the provider was asked about a person and all answers were used. */
async function aMinuteLater(account: string, at = provider) {
  const asked = asksFor(account, at);
  moved += minute;
  await eventually(() => asksFor(account, at) > asked);
  await allUsed();
}

/** Waits until all answers of the providers were used. */
async function allUsed() {
  const asked = () => providers.reduce((sum, { refreshed }) => sum + refreshed.length, 0);
  await eventually(async () => (await checks('kept')) + (await checks('ended')) === asked());
}

/** Signs the command line in, as `keyturn login --browser` does. */
async function commandLineToken(browser: Browser): Promise<string> {
  const verifier = randomBytes(32).toString('base64url');
  const allowed = await browser.send(`${server.adminUrl}/console/command-line`, {
    redirect_uri: `http://127.0.0.1:${await freePort()}/callback`,
    state: 'state-of-the-command-line',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    name: 'laptop',
  });
  const code = new URL(leadsTo(allowed.text)).searchParams.get('code') ?? '';
  const body = new URLSearchParams({ code, code_verifier: verifier });
  const response = await fetch(`${server.adminUrl}/command-line/token`, { method: 'POST', body });
  return ((await response.json()) as { operator_token: string }).operator_token;
}

describe('a person who is removed at the identity provider', () => {
  it('has no way in a minute later, while others stay signed in', async () => {
    const [leaver, colleague] = [await operator(), await operator()];
    const commandLine = await commandLineToken(leaver.browser);
    const issued = await server.adminFetch(`/contacts/${leaver.contact}/operator-token`, { method: 'POST' });
    const own = issued.json.operator_token;
    const invited = await signIn(leaver.account);
    const tokens = [leaver.token, commandLine, own];
    expect(await Promise.all(tokens.map((token) => statusOf(token)))).toEqual([200, 200, 200]);
    const { path } = await link(leaver.contact);

    provider.people.delete(leaver.account);
    await aMinuteLater(leaver.account);
    expect([await isSignedIn(leaver.browser), await isSignedIn(invited.browser)]).toEqual([false, false]);
    for (const token of tokens) {
      expect([await statusOf(token), await statusOf(token, '/me')]).toEqual([401, 401]);
    }
    expect((await server.send('/console/sign-in', { token: own })).status).toBe(403);
    const code = new URL(path, server.adminUrl).searchParams.get('code') ?? '';
    expect((await server.send('/console/sign-in', { code })).status).toBe(403);
    expect((await signIn(leaver.account)).status).toBe(401);
    expect([await isSignedIn(colleague.browser), await statusOf(colleague.token)]).toEqual([true, 200]);

    const events = (await server.adminFetch(`/audit-events?target=${leaver.contact}`)).json.data;
    expect(events.slice(0, 2)).toMatchObject([
      { action: 'contact.end_by_provider', actor: 'identity-provider:deployment' },
      { action: 'contact.update', after: { permissions: [] } },
    ]);
  });

  it('gets back what they had when they sign in at the provider again, without a new token', async () => {
    const { account, browser, token } = await operator();
    const commandLine = await commandLineToken(browser);
    const known = provider.people.get(account);
    provider.people.delete(account);
    await aMinuteLater(account);
    expect(await statusOf(token)).toBe(401);
    const asked = asksFor(account);
    if (known) provider.people.set(account, known);
    expect((await signIn(account)).status).toBe(200);
    expect([await statusOf(token), await statusOf(token, '/invitations')]).toEqual([200, 403]);
    expect([await statusOf(commandLine), await isSignedIn(browser), asksFor(account)]).toEqual([401, false, asked]);
  });
});

/** Creates a sign-in link, as `keyturn console link` does. */
async function link(contact: string) {
  const { issueConsoleLink } = await import('../../src/admin/console/sign-in/prove.ts');
  const actor = { id: 'test', name: 'test', address: null };
  const path = await server.core.change((transaction) => issueConsoleLink(transaction, server.core, actor, contact));
  return { path };
}

describe('a person who is still known', () => {
  it('loses the permissions of a group a minute after leaving it, and every way in with the last one', async () => {
    const { account, browser, token } = await operator();
    const groups = provider.people.get(account)?.groups ?? [];
    await aMinuteLater(account);
    expect([await statusOf(token), await statusOf(token, '/contacts')]).toEqual([200, 200]);
    groups.splice(0, 1, 'auditors');
    await aMinuteLater(account);
    expect([await statusOf(token), await statusOf(token, '/contacts')]).toEqual([200, 403]);
    expect(await isSignedIn(browser)).toBe(false);
    groups.splice(0, 1);
    await aMinuteLater(account);
    expect([await statusOf(token), await statusOf(token, '/me')]).toEqual([401, 401]);
  });

  it('is asked about once each time by two processes, with the refresh token that came last', async () => {
    const people = [await operator(), await operator(), await operator()];
    const [before, ended] = [people.map(({ account }) => asksFor(account)), await checks('ended')];
    for (let turn = 1; turn <= 3; turn++) {
      moved += minute;
      // The provider accepts each refresh token once, and ends the sign-in if one comes again.
      await eventually(() => people.every(({ account }, index) => asksFor(account) >= (before[index] ?? 0) + turn));
      await allUsed();
    }
    expect(people.map(({ account }, index) => asksFor(account) - (before[index] ?? 0))).toEqual([3, 3, 3]);
    expect([await checks('ended'), await isSignedIn(people[0]?.browser as Browser)]).toEqual([ended, true]);
  });

  it('is asked about only once an hour if they have no way in', async () => {
    const { account, browser, contact } = await operator();
    const { json } = await server.adminFetch(`/operator-tokens?contact_id=${contact}`);
    for (const { id } of json.data) await server.adminFetch(`/operator-tokens/${id}`, { method: 'DELETE' });
    await server.adminFetch(`/contacts/${contact}/sessions`, { method: 'DELETE' });
    expect(await isSignedIn(browser)).toBe(false);
    const asked = asksFor(account);
    const another = (await operator()).account;
    await aMinuteLater(another);
    expect(asksFor(account)).toBe(asked);
    moved += 59 * minute;
    await eventually(() => asksFor(account) === asked + 1);
  });
});

describe('without an answer that a person has left', () => {
  /** Adds a provider to the database. */
  async function addProvider(at: OpenidProvider, changes: object = {}) {
    const body = {
      name: 'Second',
      issuer: at.issuer,
      client_id: at.clientId,
      client_secret: at.clientSecret,
      scope: 'openid profile email groups offline_access',
      grants: [{ value: 'admins', permissions: ['audit:view', 'integrations:view'] }],
      ...changes,
    };
    return (await server.adminFetch('/identity-providers', { method: 'POST', body })).json.id as string;
  }

  it('nothing ends, because the provider is away, and the next answer decides', async () => {
    const second = await start({ claimsInIdToken: true });
    const { account, browser, token } = await operator(person(['admins'], second), await addProvider(second));
    await aMinuteLater(account, second);
    const unanswered = await checks('unanswered');
    await second.close();
    moved += minute;
    await eventually(async () => (await checks('unanswered')) > unanswered);
    expect([await isSignedIn(browser), await statusOf(token)]).toEqual([true, 200]);
  });

  it('a disabled provider, or one with another client ID, is not asked', async () => {
    const second = await start();
    const id = await addProvider(second);
    const { account, token } = await operator(person(['admins'], second), id);
    second.people.delete(account);
    for (const body of [{ status: 'disabled' }, { status: 'enabled', client_id: 'another' }]) {
      expect((await server.adminFetch(`/identity-providers/${id}`, { method: 'PATCH', body })).status).toBe(200);
      const before = await checks('not_asked');
      moved += minute;
      await eventually(async () => (await checks('not_asked')) > before);
      expect([await statusOf(token), asksFor(account, second)]).toEqual([200, 0]);
    }
    await server.adminFetch(`/identity-providers/${id}`, { method: 'DELETE' });
    const rows = await askPostgres(stores.databaseUrl, `SELECT FROM provider_refresh_tokens WHERE provider = '${id}'`);
    expect(rows).toEqual([]);
    await second.close();
  });

  it('a provider that is not asked for refresh tokens, or gives none, does not decide afterwards', async () => {
    const silent = await start({ givesRefreshTokens: false });
    const generous = await start();
    await operator(person(['admins'], silent), await addProvider(silent));
    await operator(person(['admins'], generous), await addProvider(generous, { scope: 'openid profile email groups' }));
    expect([silent.refreshTokens.length, generous.refreshTokens.length]).toEqual([0, 1]);
    const held = await askPostgres(
      stores.databaseUrl,
      `SELECT FROM provider_refresh_tokens WHERE issuer IN ('${silent.issuer}', '${generous.issuer}')`,
    );
    expect(held).toEqual([]);
    await silent.close();
    await generous.close();
  });
});

test('refresh tokens are stored sealed, also after a rotation of the root key', async () => {
  const { contact } = await operator();
  const rows = await askPostgres(stores.databaseUrl, 'SELECT to_jsonb(t)::text AS row FROM provider_refresh_tokens t');
  const text = rows.map(({ row }) => row).join('\n');
  expect(text).toContain(contact);
  expect(provider.refreshTokens.filter((token) => text.includes(token))).toEqual([]);
  expect(provider.refreshTokens.length).toBeGreaterThan(0);

  const next = generateRootKey('next');
  const environment = { DATABASE_URL: stores.databaseUrl, KEYTURN_ROOT_KEY: `${next},${stores.rootKey}` };
  expect(await runJson(['root-key', 'rotate'], environment)).toMatchObject({ unreadable: [] });
  const versions = "SELECT DISTINCT split_part(sealed, '.', 1) AS version FROM provider_refresh_tokens";
  expect(await askPostgres(stores.databaseUrl, versions)).toEqual([{ version: 'next' }]);
});
