import { issueConsoleLink } from '../../src/admin/console/sign-in/prove.ts';
import { permissions } from '../../src/contacts/contact.ts';
import { createLog } from '../../src/observability/log.ts';
import { actor } from '../oauth/fixture.ts';
import { sendRaw } from '../oauth/http-client.ts';
import { type ConsoleServer, cookieOf, startConsole } from './console-server.ts';

const minute = 60_000;
let now = Date.parse('2026-03-01T12:00:00Z');
let server: ConsoleServer;
let logged = '';

beforeAll(async () => {
  const stream = {
    write(line: string) {
      logged += line;
    },
  };
  server = await startConsole({ clock: () => now, log: createLog('trace', stream) });
});
afterAll(() => server?.close());

const start = '/console/integrations';
const isSignedIn = async (cookie: string) => (await server.look(start, cookie)).status === 200;

async function link(contactId: string): Promise<string> {
  return await server.core.change((transaction) => issueConsoleLink(transaction, server.core, actor, contactId));
}

/** Submits the sign-in form of the page that a link opens. */
async function follow(path: string) {
  return await server.send('/console/sign-in', { code: path.split('code=')[1] ?? '' });
}

describe('signing in to the console', () => {
  it('redirects to the sign-in page, and afterwards to the requested page', async () => {
    const refused = await server.look('/console/audit?action=client.create');
    expect(refused).toMatchObject({ status: 303 });
    expect(refused.location).toBe(`/console/sign-in?next=${encodeURIComponent('/console/audit?action=client.create')}`);
    const { token } = await server.operator();
    const answer = await server.send('/console/sign-in', { token, next: '/console/audit?action=client.create' });
    expect(answer).toMatchObject({ status: 303, location: '/console/audit?action=client.create' });
  });

  it.each([
    'https://evil.example/',
    '//evil.example/',
    '/\\evil.example',
    '/console/../../evil',
    'javascript:alert(1)',
  ])('does not redirect to %s outside the console', async (next) => {
    const { token } = await server.operator();
    const { location } = await server.send('/console/sign-in', { token, next });
    expect(new URL(location ?? '', server.adminUrl).href).toBe(`${server.adminUrl}/console/`);
  });

  it('sets an HttpOnly, SameSite=Strict session cookie', async () => {
    const { token } = await server.operator();
    const { headers } = await server.send('/console/sign-in', { token });
    expect(headers.getSetCookie()).toEqual([
      expect.stringMatching(/^keyturn=p_[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/),
    ]);
  });

  it('sets a Secure cookie with the __Host- prefix over TLS', async () => {
    const { token } = await server.operator();
    const origin = server.adminUrl.replace('http:', 'https:');
    const { headers } = await server.send('/console/sign-in', { token }, undefined, { origin });
    expect(headers.getSetCookie()).toEqual([
      expect.stringMatching(/^__Host-keyturn=s_[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Secure$/),
    ]);
  });

  it('rejects a session that was started over TLS under the cookie name without __Host-', async () => {
    const { token } = await server.operator();
    const origin = server.adminUrl.replace('http:', 'https:');
    const secure = cookieOf(await server.send('/console/sign-in', { token }, undefined, { origin }));
    expect(await isSignedIn(secure)).toBe(true);
    expect(await isSignedIn(secure.replace('__Host-', ''))).toBe(false);
    expect(await isSignedIn(secure.replace('__Host-keyturn=s_', 'keyturn='))).toBe(false);
  });

  it('rejects a session that was started without TLS in a form that is sent over TLS', async () => {
    const plain = await server.signIn((await server.operator()).token);
    const origin = server.adminUrl.replace('http:', 'https:');
    const answer = await server.send('/console/integrations', { name: 'Planted' }, plain, { origin });
    expect(answer.status).toBe(401);
  });

  it('rejects operator tokens that are invalid, malformed or of another type', async () => {
    const { token } = await server.operator();
    const other = `${token.slice(0, -1)}${token.endsWith('a') ? 'b' : 'a'}`;
    for (const wrong of [other, '', 'kto_', `kts_${token.slice(4)}`, "' OR 1=1--"]) {
      const answer = await server.send('/console/sign-in', { token: wrong });
      expect(answer.status).toBe(401);
      expect(answer.headers.getSetCookie()).toEqual([]);
      expect(answer.text).toContain('This operator token is not valid.');
    }
  });

  it('starts a new session and ends the previous session of the browser', async () => {
    const { token } = await server.operator();
    const first = await server.signIn(token);
    const again = await server.send('/console/sign-in', { token }, first);
    expect(cookieOf(again)).not.toBe(first);
    expect(await isSignedIn(cookieOf(again))).toBe(true);
    expect(await isSignedIn(first)).toBe(false);
  });

  it('ignores a planted session cookie', async () => {
    const { token } = await server.operator();
    const planted = `keyturn=${'A'.repeat(43)}`;
    const answer = await server.send('/console/sign-in', { token }, planted);
    expect(cookieOf(answer)).not.toBe(planted);
    expect(await isSignedIn(planted)).toBe(false);
  });

  it('responds 421 to a Host with an invalid port', async () => {
    const { text } = await sendRaw(
      server.adminUrl,
      'GET /console/sign-in HTTP/1.1\r\nHost: localhost:99999\r\nConnection: close\r\n\r\n',
    );
    expect(text).toMatch(/^HTTP\/1\.1 421 /);
  });

  it('limits failed attempts per address, and still accepts a valid token from it', async () => {
    const { token } = await server.operator();
    const here = { origin: server.adminUrl, 'x-forwarded-for': '203.0.113.7' };
    const attempt = (value: string) => server.send('/console/sign-in', { token: value }, undefined, here);
    for (let count = 0; count < 15; count++) expect(await attempt(token)).toMatchObject({ status: 303 });
    const wrong = [];
    for (let count = 0; count < 12; count++) wrong.push(await attempt('kto_x'));
    expect(wrong.map(({ status }) => status)).toEqual([...Array(10).fill(401), 429, 429]);
    expect(Number(wrong.at(-1)?.headers.get('retry-after'))).toBeGreaterThan(0);
    // Callers that share an address cannot lock each other out.
    expect(await attempt(token)).toMatchObject({ status: 303 });
    expect(await attempt('kto_x')).toMatchObject({ status: 429 });
  });

  it('records the sign-in in the audit log', async () => {
    const { id, token } = await server.operator();
    await server.signIn(token);
    const { json } = await server.adminFetch(`/audit-events?actor=${id}`);
    expect(json.data.map(({ action }: { action: string }) => action)).toContain('console.sign_in');
  });
});

describe('a sign-in link', () => {
  it('signs in only once', async () => {
    const { id } = await server.operator();
    const path = await link(id);
    // Opening the page does not consume the link, because mail scanners open links. Only the button consumes it.
    expect(await server.look(path)).toMatchObject({ status: 200 });
    const used = await follow(path);
    expect(used.status).toBe(303);
    expect(await isSignedIn(cookieOf(used))).toBe(true);
    expect(await follow(path)).toMatchObject({ status: 401 });
  });

  it('signs in one of five concurrent requests', async () => {
    const { id } = await server.operator();
    const path = await link(id);
    const answers = await Promise.all(Array.from({ length: 5 }, () => follow(path)));
    expect(answers.filter(({ status }) => status === 303)).toHaveLength(1);
  });

  it('expires after ten minutes', async () => {
    const { id } = await server.operator();
    const path = await link(id);
    now += 10 * minute + 1;
    expect(await follow(path)).toMatchObject({ status: 401 });
  });
});

describe('a console session', () => {
  it('expires after eight hours', async () => {
    const cookie = await server.signIn((await server.operator()).token);
    for (let hours = 1; hours < 8; hours++) {
      now += 60 * minute;
      expect(await isSignedIn(cookie)).toBe(true);
    }
    now += 60 * minute - 1_000;
    expect(await isSignedIn(cookie)).toBe(true);
    now += 1_000;
    expect(await isSignedIn(cookie)).toBe(false);
  });

  it('expires after two hours without a request', async () => {
    const cookie = await server.signIn((await server.operator()).token);
    now += 119 * minute;
    expect(await isSignedIn(cookie)).toBe(true);
    now += 119 * minute;
    expect(await isSignedIn(cookie)).toBe(true);
    now += 120 * minute;
    expect(await isSignedIn(cookie)).toBe(false);
  });

  it('is deleted on the server at sign-out', async () => {
    const cookie = await server.signIn((await server.operator()).token);
    const answer = await server.send('/console/sign-out', {}, cookie);
    expect(answer).toMatchObject({ status: 303, location: '/console/sign-in' });
    expect(answer.headers.getSetCookie().every((each) => each.includes('Max-Age=0'))).toBe(true);
    expect(await isSignedIn(cookie)).toBe(false);
  });

  it.each<[string, (id: string) => Promise<unknown>]>([
    [
      'permissions are reduced',
      (id) => server.adminFetch(`/contacts/${id}`, { method: 'PATCH', body: { permissions: ['integrations:view'] } }),
    ],
    ['operator token is replaced', (id) => server.adminFetch(`/contacts/${id}/operator-token`, { method: 'POST' })],
    ['operator token is revoked', (id) => server.adminFetch(`/contacts/${id}/operator-token`, { method: 'DELETE' })],
    ['contact is deleted', (id) => server.adminFetch(`/contacts/${id}`, { method: 'DELETE' })],
  ])('ends when the %s', async (_, change) => {
    const { id, token } = await server.operator();
    const cookie = await server.signIn(token);
    expect(await isSignedIn(cookie)).toBe(true);
    await change(id);
    expect(await isSignedIn(cookie)).toBe(false);
  });

  it('rejects a form with 401 after the session has ended', async () => {
    const { id, token } = await server.operator();
    const cookie = await server.signIn(token);
    await server.adminFetch(`/contacts/${id}/operator-token`, { method: 'DELETE' });
    const answer = await server.send('/console/integrations', { name: 'Late', kind: 'integration' }, cookie);
    expect(answer.status).toBe(401);
    expect(answer.text).toContain('Nothing was changed.');
  });
});

describe('a form that is sent after its session has ended', () => {
  const form = { name: 'Kept <&"', permission: 'orders:read', reveal: 'on', once: 'kept' };
  const hidden = (text: string, name: string) =>
    (new RegExp(`name="${name}" value="([^"]*)"`).exec(text)?.[1] ?? '').replaceAll('&amp;', '&');

  it('keeps its fields, and is sent again after signing in', async () => {
    const { token } = await server.operator();
    const asked = await server.send('/console/integrations/new', { ...form, operator_token: token }, 'keyturn=ended');
    expect(asked.status).toBe(401);
    expect(asked.text).toContain('Nothing was changed.');
    expect(asked.text).not.toContain(token);
    const [next, kept] = [hidden(asked.text, 'next'), hidden(asked.text, 'kept')];
    const wrong = await server.send('/console/sign-in', { token: 'kto_x', next, kept });
    expect(hidden(wrong.text, 'kept')).toBe(kept);
    const signedIn = await server.send('/console/sign-in', { token, next, kept });
    expect(signedIn.text).toContain('<form class="card stack" method="post" action="/console/integrations/new">');
    expect(signedIn.text).toContain('name="name" value="Kept &lt;&amp;&quot;"');
    const page = await server.send('/console/integrations/new', form, cookieOf(signedIn));
    expect(page.text).toContain('value="Kept &lt;&amp;&quot;"');
  });

  it('does not continue on another site', async () => {
    const { token } = await server.operator();
    const answer = await server.send('/console/sign-in', { token, next: 'https://evil.example/', kept: 'a=b' });
    expect(answer.text).toContain('action="/console/"');
  });
});

it('shows what an act has changed once, and not for an address or after a reload', async () => {
  const { json: client } = await server.adminFetch('/clients', {
    method: 'POST',
    body: { name: 'Noted', kind: 'integration' },
  });
  const cookie = await server.signIn((await server.operator()).token);
  const at = `/console/clients/${client.client_id}`;
  const disabled = await server.send(`${at}/disable`, {}, cookie);
  expect(disabled.location).toBe(at);
  const [left = ''] = disabled.headers.getSetCookie().map((each) => each.split(';')[0]);
  const elsewhere = await server.look('/console/integrations', `${cookie}; ${left}`);
  expect(elsewhere.text).not.toContain('Disabled. Its active tokens were revoked.');
  const shown = await server.look(at, `${cookie}; ${left}`);
  expect(shown.text).toContain('Disabled. Its active tokens were revoked.');
  expect(shown.text).toContain(`action="${at}/enable"`);
  expect(shown.headers.getSetCookie()).toEqual([expect.stringMatching(/^keyturn-done=; .*Max-Age=0$/)]);
  for (const path of [at, `${at}?done=disabled`]) {
    expect((await server.look(path, cookie)).text).not.toContain('Disabled. Its active tokens were revoked.');
  }
});

describe('revealing a secret in the console', () => {
  const register = async () =>
    (await server.adminFetch('/clients', { method: 'POST', body: { name: 'Shop', kind: 'integration' } })).json;

  it('shows the secret within 15 minutes after sign-in', async () => {
    const client = await register();
    const cookie = await server.signIn((await server.operator()).token);
    now += 14 * minute;
    const shown = await server.send(`/console/clients/${client.client_id}/reveal`, {}, cookie);
    expect(shown).toMatchObject({ status: 200 });
    expect(shown.text).toContain(client.client_secret);
    expect(shown.headers.get('cache-control')).toBe('no-store');
  });

  it('asks for the operator token after 15 minutes and rejects the token of another operator', async () => {
    const client = await register();
    const { token } = await server.operator();
    const cookie = await server.signIn(token);
    now += 15 * minute + 1;
    const reveal = (as: string) => server.send(`/console/clients/${client.client_id}/reveal`, {}, as);
    const asked = await reveal(cookie);
    expect(asked.text).not.toContain(client.client_secret);
    expect(asked.text).toContain('Confirm it’s you');

    const stranger = await server.operator();
    expect(await server.send('/console/prove', { operator_token: stranger.token }, cookie)).toMatchObject({
      status: 401,
    });
    expect((await reveal(cookie)).text).not.toContain(client.client_secret);

    const proved = await server.send('/console/prove', { operator_token: token }, cookie);
    expect(proved.status).toBe(303);
    expect(cookieOf(proved)).not.toBe(cookie);
    expect((await reveal(cookieOf(proved))).text).toContain(client.client_secret);
    expect(await isSignedIn(cookie)).toBe(false);
  });

  it('rejects GET with 405', async () => {
    const client = await register();
    const cookie = await server.signIn((await server.operator()).token);
    expect((await server.look(`/console/clients/${client.client_id}/reveal`, cookie)).status).toBe(405);
  });
});

it('does not accept a session cookie for the admin API', async () => {
  const cookie = await server.signIn((await server.operator()).token);
  const answer = await server.adminFetch('/clients', { token: null, headers: { cookie } });
  expect(answer).toMatchObject({ status: 401 });
});

it('keeps tokens, cookies and links out of the log, and stores only hashes of them', async () => {
  const { id, token } = await server.operator();
  const path = await link(id);
  await server.look(path);
  const cookie = cookieOf(await follow(path));
  await server.look(`${start}?q=${token}`, cookie);
  await server.send('/console/sign-in', { token: `${token.slice(0, -1)}!` }, cookie);
  const signedIn = await server.signIn(token);
  await server.look(`/console/clients/${token}`, signedIn);
  expect(logged).toContain('"route":"/console/sign-in"');
  const rows = await server.core.database.query(
    `SELECT to_jsonb(s)::text AS row FROM console_sessions s UNION ALL SELECT to_jsonb(l)::text FROM console_links l`,
  );
  const code = path.split('code=')[1] ?? '';
  for (const secret of [token, cookie.split('=')[1] ?? '', signedIn.split('=')[1] ?? '', code]) {
    expect(secret.length).toBeGreaterThan(40);
    expect(logged).not.toContain(secret);
    const hex = Buffer.from(secret, 'base64url').toString('hex');
    for (const { row } of rows as { row: string }[]) expect(row).not.toMatch(new RegExp(`${secret}|${hex}`));
  }
});

describe('the console attacked by a page of another site', () => {
  it.each<[string, Record<string, string>]>([
    ['another origin', { origin: 'https://evil.example' }],
    ['the Origin null', { origin: 'null' }],
    ['no Origin header', {}],
    ['an Origin whose host only starts with the real one', { origin: 'http://127.0.0.1.evil.example' }],
  ])('rejects forms with %s', async (_, headers) => {
    const cookie = await server.signIn((await server.operator()).token);
    const before = (await server.adminFetch('/clients?q=Planted')).json.data.length;
    const answer = await server.send('/console/integrations', { name: 'Planted', reveal: 'on' }, cookie, headers);
    expect(answer.status).toBe(403);
    expect((await server.adminFetch('/clients?q=Planted')).json.data).toHaveLength(before);
    const out = await server.send('/console/sign-out', {}, cookie, headers);
    expect(out.status).toBe(403);
    expect(await isSignedIn(cookie)).toBe(true);
  });

  it('forbids frames, foreign scripts and foreign form targets by its headers', async () => {
    const cookie = await server.signIn((await server.operator()).token);
    for (const [path, as] of [['/console/sign-in'], [start, cookie], ['/console/nowhere', cookie]] as const) {
      const { headers } = await server.look(path, as);
      const policy = headers.get('content-security-policy') ?? '';
      expect(policy).toContain("default-src 'none'");
      expect(policy).toContain("script-src 'self'");
      expect(policy).toContain("frame-ancestors 'none'");
      expect(policy).toContain("form-action 'self'");
      expect(policy).not.toMatch(/unsafe|\*|https?:/);
      expect(headers.get('x-frame-options')).toBe('DENY');
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('cache-control')).toBe('no-store');
      expect(headers.get('access-control-allow-origin')).toBeNull();
    }
  });
});

describe('a console action without its permission', () => {
  const posts = [
    ['/console/integrations', 'api_key:manage'],
    ['/console/clients/CLIENT/reveal', 'api_key:manage'],
    ['/console/clients/CLIENT/regenerate', 'api_key:manage'],
    ['/console/clients/CLIENT/authorization-token', 'api_key:manage'],
    ['/console/clients/CLIENT/revoke-tokens', 'api_key:manage'],
    ['/console/clients/CLIENT/disable', 'integrations:edit'],
    ['/console/clients/CLIENT/edit', 'integrations:edit'],
    ['/console/clients/CLIENT/delete', 'api_key:manage'],
    ['/console/contacts/new', 'contacts:manage'],
    ['/console/signing-keys/rotate', 'api_key:manage'],
  ] as const;

  it.each(posts)('is rejected: POST %s without %s', async (path, needed) => {
    const { json: client } = await server.adminFetch('/clients', {
      method: 'POST',
      body: { name: 'Stays', kind: 'integration' },
    });
    const before = (await server.adminFetch(`/clients/${client.client_id}`)).json;
    const others = permissions.filter((permission) => permission !== needed);
    const cookie = await server.signIn((await server.operator(others)).token);
    const form = { name: 'Stays', email: 'x@example.com', confirm: 'Stays' };
    const answer = await server.send(path.replace('CLIENT', client.client_id), form, cookie);
    expect(answer.status).toBe(403);
    expect(answer.text).toContain(needed);
    expect((await server.adminFetch(`/clients/${client.client_id}`)).json).toEqual(before);
  });
});
