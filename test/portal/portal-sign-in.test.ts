import { randomUUID } from 'node:crypto';
import { portalPages } from '../../src/admin/console/pages.ts';
import { permissions as everything } from '../../src/contacts/contact.ts';
import { type PortalServer, portalCookie, startPortal } from './portal-server.ts';

const minute = 60_000;

let server: PortalServer;
let organization: string;
let time = Date.now();

beforeAll(async () => {
  server = await startPortal({ clock: () => time });
  const portal = { name: 'Acme Cloud', return_url: 'https://app.example.com/settings' };
  const origins = { return_origins: ['https://other.example.com'] };
  organization = (await server.post('/organizations', { name: 'Acme', portal: { ...portal, ...origins } })).id;
});
afterAll(() => server.close());

const ann = () => ({ organization_id: organization, email: 'ann@acme.example', name: 'Ann Lee' });
const codeOf = (url: string) => new URL(url).searchParams.get('code') ?? '';

describe('a link to the portal', () => {
  it('is not consumed by those who only open it, and signs in once', async () => {
    const url = await server.link(ann(), everything);
    expect(url).toMatch(/^http:\/\/localhost:\d+\/portal\/sign-in\?code=[\w-]{43}$/);
    for (let looks = 0; looks < 3; looks++) {
      const page = await server.open(url);
      expect([page.status, page.text.includes('Continue as Ann Lee'), portalCookie(page)]).toEqual([200, true, '']);
    }
    const entered = await server.submit('/portal/sign-in', { code: codeOf(url) });
    expect([entered.status, entered.location]).toEqual([303, '/portal/']);
    expect(portalCookie(entered)).toMatch(/^keyturn-portal=[\w-]+; Path=\/; HttpOnly; SameSite=Strict$/);
    const [cookie = ''] = portalCookie(entered).split(';');
    const home = await server.open('/portal/', cookie);
    expect([home.status, home.text.includes('Ann Lee'), home.text.includes('Acme Cloud')]).toEqual([200, true, true]);
    const again = await server.submit('/portal/sign-in', { code: codeOf(url) });
    expect([again.status, portalCookie(again)]).toEqual([401, '']);
    expect((await server.open(url)).status).toBe(401);
  });

  it('signs in one of many browsers that open it at the same time', async () => {
    const code = codeOf(await server.link(ann(), []));
    const answers = await Promise.all(Array.from({ length: 20 }, () => server.submit('/portal/sign-in', { code })));
    expect(answers.filter(({ status }) => status === 303)).toHaveLength(1);
  });

  it('ends at its time', async () => {
    const url = await server.link(ann(), [], { expires_in: 60 });
    time += minute + 1;
    expect((await server.submit('/portal/sign-in', { code: codeOf(url) })).status).toBe(401);
  });

  it('does not sign in to the console, and a link to the console does not sign in to the portal', async () => {
    const code = codeOf(await server.link(ann(), everything));
    expect((await server.send('/console/sign-in', { code })).status).toBe(401);
    expect((await server.submit('/portal/sign-in', { code })).status).toBe(303);
  });

  it('creates one contact for an e-mail address in any case, also if requested many times at once', async () => {
    const person = { organization_id: organization, email: 'Bo@Acme.example', name: 'Bo' };
    const upper = { ...person, email: 'bo@acme.example' };
    const asked = await Promise.all(
      [person, upper, person, upper].map((each) => server.post('/portal-sessions', each)),
    );
    expect(new Set(asked.map(({ contact_id: id }) => id)).size).toBe(1);
    const { json } = await server.adminFetch(`/contacts?organization_id=${organization}&q=bo`);
    expect(json.data).toHaveLength(1);
    expect(json.data[0]).toMatchObject({ name: 'Bo', organization_id: organization, permissions: [] });
  });

  it('gives the same answer to a repeated request with the same Idempotency-Key', async () => {
    const request = { method: 'POST', body: ann(), headers: { 'idempotency-key': randomUUID() } };
    const [first, second] = [
      await server.adminFetch('/portal-sessions', request),
      await server.adminFetch('/portal-sessions', request),
    ];
    expect([first.status, second.json]).toEqual([201, first.json]);
  });

  it('gives no permission that the asking operator lacks, also not those of an existing contact', async () => {
    const { id } = await server.post('/contacts', { ...ann(), email: 'c@acme.example', permissions: ['audit:view'] });
    const token = await server.operatorToken(['contacts:manage']);
    const ask = (body: object) => server.adminFetch('/portal-sessions', { method: 'POST', token, body });
    expect((await ask({ contact_id: id })).status).toBe(403);
    expect((await ask({ contact_id: id, permissions: ['api_key:manage'] })).status).toBe(403);
    expect((await ask({ contact_id: id, permissions: [] })).status).toBe(201);
  });

  it('is refused for people of the deployment, whose permissions are for every organization', async () => {
    const { id } = await server.operator();
    const answer = await server.adminFetch('/portal-sessions', { method: 'POST', body: { contact_id: id } });
    expect([answer.status, answer.json.code]).toEqual([409, 'deployment_contact']);
  });

  it('leads back to allowed origins only', async () => {
    const ask = async (return_url: string) =>
      (await server.adminFetch('/portal-sessions', { method: 'POST', body: { ...ann(), return_url } })).status;
    for (const url of ['https://app.example.com/x?y=z', 'https://other.example.com/']) expect(await ask(url)).toBe(201);
    for (const url of [
      'https://evil.example/',
      'http://app.example.com/',
      'https://app.example.com:444/',
      'https://app.example.com@evil.example/',
      'javascript:alert(1)',
      '//app.example.com/',
    ]) {
      expect([url, await ask(url)]).toEqual([url, 400]);
    }
  });

  it('is recorded in the audit log without its code', async () => {
    const url = await server.link(ann(), ['audit:view']);
    const { json, text } = await server.adminFetch('/audit-events?action=portal.link&limit=1');
    expect(json.data[0].after).toMatchObject({
      permissions: ['audit:view'],
      return_url: 'https://app.example.com/settings',
    });
    expect(text).not.toContain(codeOf(url));
  });
});

describe('a session of the portal', () => {
  it('has the permissions of its link, not those of the contact', async () => {
    const cookie = await server.enter(ann(), ['integrations:view']);
    expect((await server.open('/portal/integrations', cookie)).status).toBe(200);
    expect((await server.open('/portal/integrations/new', cookie)).status).toBe(403);
  });

  it('is neither one of the console, nor one of the console one of the portal', async () => {
    const cookie = await server.enter(ann(), everything);
    const value = cookie.replace('keyturn-portal=', '');
    expect((await server.look('/console/', `keyturn=${value}`)).location).toBe('/console/sign-in');
    expect((await server.look('/console/', cookie)).location).toBe('/console/sign-in');
    const { id } = await server.post('/contacts', { ...ann(), email: 'd@acme.example', permissions: [...everything] });
    const { operator_token: token } = await server.post(`/contacts/${id}/operator-token`);
    const own = (await server.signIn(token)).replace('keyturn=', '');
    expect((await server.open('/portal/', `keyturn-portal=${own}`)).location).toBe('/portal/sign-in');
  });

  it.each([
    ['the contact is deleted', (id: string) => server.adminFetch(`/contacts/${id}`, { method: 'DELETE' })],
    [
      'the permissions of the contact change',
      (id: string) => server.adminFetch(`/contacts/${id}`, { method: 'PATCH', body: { permissions: ['audit:view'] } }),
    ],
    [
      'the contact moves to the deployment',
      async (id: string) => {
        const [own] = (await server.adminFetch('/organizations?q=this')).json.data;
        return await server.adminFetch(`/contacts/${id}`, { method: 'PATCH', body: { organization_id: own.id } });
      },
    ],
    ['time passes without a request', async () => (time += 12 * 60 * minute + 1)],
    [
      'the organization is disabled',
      () => server.adminFetch(`/organizations/${organization}/disable`, { method: 'POST' }),
    ],
  ])('ends when %s', async (_case, end) => {
    await server.adminFetch(`/organizations/${organization}/enable`, { method: 'POST' });
    const { id } = await server.post('/contacts', { ...ann(), email: `${randomUUID()}@acme.example` });
    const cookie = await server.enter({ contact_id: id }, ['integrations:view']);
    expect((await server.open('/portal/', cookie)).status).toBe(200);
    await end(id);
    expect((await server.open('/portal/', cookie)).location).toMatch(/^\/portal\/sign-in/);
    await server.adminFetch(`/organizations/${organization}/enable`, { method: 'POST' });
  });

  it('is listed and ended by the person', async () => {
    const person = { organization_id: organization, email: 'e@acme.example', name: 'Eve' };
    const cookie = await server.enter(person, ['integrations:view']);
    const list = await server.open('/portal/sessions', cookie);
    expect([list.status, list.text.includes('Your sessions')]).toEqual([200, true]);
    const ended = await server.submit('/portal/sessions/end-all', {}, cookie);
    expect(ended.status).toBe(303);
    expect((await server.open('/portal/', cookie)).location).toBe('/portal/sign-in');
  });

  it('ends with “Sign out”', async () => {
    const cookie = await server.enter(ann(), ['integrations:view']);
    const out = await server.submit('/portal/sign-out', {}, cookie);
    expect([out.status, out.location]).toEqual([303, '/portal/sign-in']);
    expect((await server.open('/portal/', cookie)).location).toBe('/portal/sign-in');
  });

  it('asks for a fresh link after 15 minutes, keeps what was entered, and goes on after it', async () => {
    const cookie = await server.enter(ann(), everything);
    const form = { name: 'Order sync', once: randomUUID(), scope: '' };
    time += 16 * minute;
    const asked = await server.submit('/portal/integrations', form, cookie);
    expect([asked.status, asked.text.includes('Confirm it’s you')]).toEqual([200, true]);
    expect(asked.text).toContain('href="https://app.example.com/settings"');
    expect(asked.text).toContain('value="Order sync"');
    const url = await server.link(ann(), everything);
    const fresh = await server.submit('/portal/sign-in', { code: codeOf(url) }, cookie);
    const [renewed = ''] = portalCookie(fresh).split(';');
    expect((await server.open('/portal/', cookie)).location).toBe('/portal/sign-in');
    const made = await server.submit('/portal/integrations', form, renewed);
    expect([made.status, made.location]).toEqual([303, `/portal/integrations/made/${form.once}`]);
    const shown = await server.open(made.location ?? '', renewed);
    expect(shown.text).toMatch(/kts_\w{49}/);
  });

  it('continues with another contact in a new session', async () => {
    const cookie = await server.enter(ann(), everything);
    const url = await server.link({ ...ann(), email: 'f@acme.example', name: 'Flo' }, everything);
    const other = await server.submit('/portal/sign-in', { code: codeOf(url) }, cookie);
    const [next = ''] = portalCookie(other).split(';');
    expect((await server.open('/portal/', next)).text).toContain('Flo');
    expect((await server.open('/portal/', cookie)).location).toBe('/portal/sign-in');
  });
});

describe('the portal listener', () => {
  it('serves nothing of the admin listener, and nothing of the public one but its health', async () => {
    const cookie = await server.enter(ann(), everything);
    const token = await server.operatorToken();
    for (const path of [
      '/metrics',
      '/admin/v1/openapi.json',
      '/admin/v1/me',
      '/admin/v1/clients',
      '/console',
      '/console/',
      '/console/sign-in',
      '/console/integrations',
      '/oauth2/token',
      '/.well-known/jwks.json',
      '/portal/organizations',
      '/portal/resource-servers',
      '/portal/resource-servers/new',
      '/portal/signing-keys',
      '/portal/system',
      '/portal/explain',
      '/portal/api',
      '/portal/audit/verify',
      '/portal/../console/',
      '/portal/%2e%2e/console/',
      '//console/',
    ]) {
      const answer = await fetch(new URL(server.portalUrl).origin + path, {
        headers: { cookie, authorization: `Bearer ${token}` },
        redirect: 'manual',
      });
      expect([path, answer.status]).toEqual([path, 404]);
    }
    expect((await server.open('/healthz')).status).toBe(200);
    expect((await server.open('/readyz')).status).toBe(200);
  });

  it('offers no sign-in by e-mail without a mail server', async () => {
    expect((await server.open('/portal/sign-in')).text).not.toContain('/portal/sign-in/mail');
    expect((await server.submit('/portal/sign-in/mail', { email: 'ann@acme.example' })).status).not.toBe(303);
  });

  it('has exactly these pages', () => {
    const paths = new Set(portalPages.map(({ path }) => path));
    for (const path of paths) {
      expect(path).toMatch(
        /^\/(?:$|search|welcome|expirations|posture|invitations|approvals|passkeys|integrations|clients|access-keys|contacts|sessions|audit|undo-edit$)/,
      );
      expect(path).not.toMatch(/operator-token|verify/);
    }
  });

  it('rejects other hosts, and forms of other sites', async () => {
    const cookie = await server.enter(ann(), everything);
    const foreign = await server.submit('/portal/sign-out', {}, cookie, { origin: 'https://evil.example' });
    expect(foreign.status).toBe(403);
    expect((await server.submit('/portal/sign-out', {}, cookie, {})).status).toBe(403);
  });
});
