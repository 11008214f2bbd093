import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { printed, runJson, startCommand } from '../cli/run-command.ts';
import { type ConsoleServer, startConsole } from '../console/console-server.ts';
import { freePort } from '../free-port.ts';
import { createBrowser, leadsTo, type OpenidProvider, startOpenidProvider } from './openid-provider.ts';

let server: ConsoleServer;
let provider: OpenidProvider;
let home: string;

beforeAll(async () => {
  const port = await freePort();
  provider = await startOpenidProvider({ logoutUri: `http://127.0.0.1:${port}/back-channel-logout/deployment` });
  provider.people.set('ann', { email: 'ann@example.com', email_verified: true, groups: ['admins'] });
  server = await startConsole({
    env: {
      KEYTURN_ADMIN_PORT: String(port),
      KEYTURN_SSO_ALLOWED_NETWORKS: '127.0.0.0/8',
      KEYTURN_SSO_ISSUER: provider.issuer,
      KEYTURN_SSO_CLIENT_ID: provider.clientId,
      KEYTURN_SSO_CLIENT_SECRET: provider.clientSecret,
      KEYTURN_SSO_SCOPE: 'openid profile email groups',
      KEYTURN_SSO_GRANTS: 'admins=integrations:view',
    },
  });
  home = mkdtempSync(join(tmpdir(), 'keyturn-login-'));
});
afterAll(async () => {
  await server?.close();
  await provider?.close();
  rmSync(home, { recursive: true, force: true });
});

const environment = () => ({ XDG_CONFIG_HOME: home, KEYTURN_DATA_DIR: join(home, 'absent') });
const hidden = (text: string, name: string) =>
  (new RegExp(`name="${name}" value="([^"]*)"`).exec(text)?.[1] ?? '').replaceAll('&amp;', '&');

/** Returns the fields of the page that asks whether the command line may sign in. */
const fieldsOf = (text: string) =>
  Object.fromEntries(['redirect_uri', 'state', 'code_challenge', 'name'].map((name) => [name, hidden(text, name)]));

test('a person signs in the command line by single sign-on, and a logout at the provider ends its token', async () => {
  const child = startCommand(['login', '--browser', '--url', server.adminUrl], environment());
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  const page = /^http\S+$/m.exec(await printed(child, 'name='))?.[0] ?? '';
  const browser = createBrowser();
  const asked = await browser.open(page);
  const next = hidden(asked.text, 'next');
  const left = await browser.send(`${server.adminUrl}/console/sign-in/with/deployment`, { next });
  const form = await browser.open(leadsTo(left.text));
  const back = await browser.send(form.url, { account: 'ann' });
  const allow = await browser.open(`${server.adminUrl}${leadsTo(back.text)}`);
  expect(allow.text).toContain('Sign in the command line');
  const allowed = await browser.send(`${server.adminUrl}/console/command-line`, fieldsOf(allow.text));
  expect((await browser.open(leadsTo(allowed.text))).text).toContain('Signed in.');
  expect(await ended).toBe(0);

  const file = join(home, 'keyturn', 'profiles.json');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readFileSync(file, 'utf8')).toMatch(/kto_\w{49}/);
  const me = await runJson(['whoami', '--profile', 'default'], environment());
  expect(me).toMatchObject({ name: 'ann@example.com', permissions: ['integrations:view'] });
  const [token] = (await server.adminFetch('/operator-tokens')).json.data;
  const life = Date.parse(token.expires_at) - Date.parse(token.created_at);
  expect(Math.round(life / 60_000)).toBe(12 * 60);

  provider.people.delete('ann');
  await provider.logOut('ann');
  await expect(runJson(['whoami', '--profile', 'default'], environment())).rejects.toThrow('valid operator token');
});

describe('the page that signs in a command line', () => {
  const request = {
    redirect_uri: 'http://127.0.0.1:4711/callback',
    state: 's'.repeat(43),
    code_challenge: 'c'.repeat(43),
    name: 'laptop',
  };
  const path = (changes: object) => `/console/command-line?${new URLSearchParams({ ...request, ...changes })}`;

  it.each([
    'https://evil.example/callback',
    'http://127.0.0.1.evil.example:80/callback',
    'http://127.0.0.1:4711/callback?x',
    'http://localhost:4711/callback',
    'http://127.0.0.1:4711@evil.example/callback',
    'javascript:alert(1)',
  ])('does not lead to %s', async (redirect_uri) => {
    const cookie = await server.signIn(await server.operatorToken());
    expect((await server.look(path({ redirect_uri }), cookie)).status).toBe(400);
    const sent = await server.send('/console/command-line', { ...request, redirect_uri }, cookie);
    expect(sent.status).toBe(400);
  });

  const exchange = async (form: Record<string, string>) =>
    await fetch(`${server.adminUrl}/command-line/token`, { method: 'POST', body: new URLSearchParams(form) });

  async function codeFor(verifier: string) {
    const { createHash } = await import('node:crypto');
    const challenge = createHash('sha256').update(verifier).digest('base64url');
    const cookie = await server.signIn(await server.operatorToken());
    const { text } = await server.send('/console/command-line', { ...request, code_challenge: challenge }, cookie);
    return { cookie, code: new URL(leadsTo(text)).searchParams.get('code') ?? '' };
  }

  it('gives a code that works once, with the verifier of the command line that asked', async () => {
    const verifier = 'v'.repeat(43);
    const { code } = await codeFor(verifier);
    const answer = await exchange({ code, code_verifier: verifier });
    expect([answer.status, answer.headers.get('cache-control')]).toEqual([200, 'no-store']);
    expect((await exchange({ code, code_verifier: verifier })).status).toBe(401);
    const other = await codeFor(verifier);
    expect((await exchange({ code: other.code, code_verifier: 'w'.repeat(43) })).status).toBe(401);
    expect((await exchange({ code: other.code, code_verifier: verifier })).status).toBe(401);
  });

  it('gives a code that ends with the session', async () => {
    const verifier = 'v'.repeat(43);
    const { code, cookie } = await codeFor(verifier);
    await server.send('/console/sign-out', {}, cookie);
    expect((await exchange({ code, code_verifier: verifier })).status).toBe(401);
  });
});
