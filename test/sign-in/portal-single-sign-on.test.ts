import { launchBrowser } from '../console/console-server.ts';
import { type PortalServer, startPortal } from '../portal/portal-server.ts';
import { describeWith } from '../programs.ts';
import { type HostileProvider, startHostileProvider } from './hostile-provider.ts';
import { createBrowser, leadsTo, startOpenidProvider } from './openid-provider.ts';

let server: PortalServer;
/** Accepts everyone. */
let provider: HostileProvider;
let organization: string;
let id: string;
let ofDeployment: string;
let time = Date.now();

beforeAll(async () => {
  provider = await startHostileProvider('keyturn');
  server = await startPortal({ clock: () => time, env: { KEYTURN_SSO_ALLOWED_NETWORKS: '127.0.0.0/8' } });
  organization = (await server.post('/organizations', { name: 'Acme', external_id: 'acme' })).id;
  const given = { name: 'Acme login', issuer: provider.issuer, client_id: 'keyturn' };
  const grants = [{ value: 'admins', permissions: ['integrations:view', 'integrations:edit', 'api_key:manage'] }];
  id = (await server.post('/identity-providers', { ...given, grants, organization_id: organization })).id;
  ofDeployment = (await server.post('/identity-providers', { ...given, grants })).id;
});
afterAll(async () => {
  await server?.close();
  await provider?.close();
});

/** The URL that the browser uses, and that the provider leads back to. */
const portal = () => server.core.config.portalUrl ?? server.portalUrl;

const claims = (name: string, groups = ['admins']) => ({
  claims: { sub: name, sid: `sid of ${name}`, email: `${name}@acme.example`, groups },
});

async function signIn() {
  const browser = createBrowser();
  const page = await browser.open(`${portal()}/portal/sign-in/acme`);
  expect(page.text).toContain(`action="/portal/sign-in/with/${id}"`);
  const left = await browser.send(`${portal()}/portal/sign-in/with/${id}`, {});
  const back = await browser.open(leadsTo(left.text));
  return { browser, ...back };
}

const look = async (browser: ReturnType<typeof createBrowser>, path = '/portal/sessions') =>
  (await browser.ask(portal() + path)).response.status;

test('people of an organization sign in to the portal at its provider, and see what is theirs', async () => {
  provider.changes = claims('ann');
  const { browser, text } = await signIn();
  expect(leadsTo(text)).toBe('/portal/');
  expect(await look(browser, '/portal/integrations')).toBe(200);
  expect(await look(browser, '/portal/signing-keys')).toBe(404);
  // The cookie of the portal does not open the console.
  expect((await browser.ask(`${server.adminUrl}/console/`)).response.status).toBe(303);
});

test('a provider of the deployment signs nobody in to the portal', async () => {
  const { status } = await server.submit(`/portal/sign-in/with/${ofDeployment}`, {});
  expect(status).toBe(404);
  const { text } = await server.open('/portal/sign-in/find?q=nobody');
  expect(text).toContain('No organization with an identity provider was found');
});

test('a person who has lost the permissions still sees the portal, with their own access keys alone', async () => {
  provider.changes = claims('bo');
  await signIn();
  provider.changes = claims('bo', []);
  const { browser } = await signIn();
  expect(await look(browser, '/portal/integrations/new')).toBe(403);
  expect(await look(browser)).toBe(200);
});

test('a logout token to the portal ends the sessions there', async () => {
  provider.changes = claims('cy');
  const { browser } = await signIn();
  expect(await look(browser)).toBe(200);
  const events = { 'http://schemas.openid.net/event/backchannel-logout': {} };
  const body = new URLSearchParams({ logout_token: await provider.sign({ sub: 'cy', events }) });
  const answer = await fetch(`${server.portalUrl}/back-channel-logout/${id}`, { method: 'POST', body });
  expect(answer.status).toBe(200);
  expect(await look(browser)).not.toBe(200);
});

describeWith('Chromium')('in a browser, at node-oidc-provider', () => {
  test('a person signs in, generates, proves who they are again, and is signed out by the provider', async () => {
    const real = await startOpenidProvider();
    await using ends = new AsyncDisposableStack();
    ends.defer(() => real.close());
    real.people.set('dora', { email: 'dora@boreal.example', email_verified: true, groups: ['admins'] });
    const { id: boreal } = await server.post('/organizations', { name: 'Boreal', external_id: 'boreal' });
    await server.post('/identity-providers', {
      name: 'Boreal login',
      issuer: real.issuer,
      client_id: real.clientId,
      client_secret: real.clientSecret,
      scope: 'openid profile email groups',
      grants: [{ value: 'admins', permissions: ['integrations:view', 'api_key:manage'] }],
      organization_id: boreal,
    });
    const browser = await launchBrowser();
    ends.defer(() => browser.close());
    const page = await browser.newPage();
    const press = (name: string) => page.getByRole('button', { name, exact: true }).click();
    await page.goto(`${portal()}/portal/integrations/new`);
    await page.getByText('Sign in with your organization').click();
    await page.locator('[name=q]').fill('boreal');
    await page.locator('[name=q]').press('Enter');
    await press('Sign in with Boreal login');
    await page.getByLabel('Account').fill('dora');
    await press('Log in');
    await page.getByLabel('Name', { exact: true }).fill('Order sync');
    await press('Review');
    await page.getByText('Nothing has been changed yet').waitFor();
    time += 16 * 60_000;
    await page.locator('main form button.primary').click();
    await page.getByRole('heading', { name: 'Confirm it’s you' }).waitFor();
    await page.locator('main form button').first().click();
    await page.getByLabel('Account').fill('dora');
    await press('Log in');
    await press('Continue');
    expect(await page.locator('#client-secret').textContent()).toMatch(/^kts_/);
  });
});
