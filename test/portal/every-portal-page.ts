import { generateKeyPairSync, randomUUID } from 'node:crypto';
import type { Page } from 'playwright-core';
import { permissions } from '../../src/contacts/contact.ts';
import { type FormPage, hostile, replaceByCertificate } from '../console/every-page.ts';
import { endpointsOf } from '../oauth/fixture.ts';
import type { PortalServer } from './portal-server.ts';

/** Every page of the portal, with typical data of one organization. */
type PortalPages = {
  /** Paths of pages by the names of their screenshots. */
  pages: Record<string, string | FormPage>;
  /** The cookie of a person with all permissions. */
  cookie: string;
  organization: string;
};

/** A picture of 88 × 24 pixels. */
const logo =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAFgAAAAYAQMAAABEA6gbAAAABlBMVEUAAAALelweP9qNAAAAAnRSTlMA/1uRIrUAAAA1SURBVHjaY2AgBvxvgDMZ/x+As9n/f8DK5v//A86W//8Hmc34HwKoycZqLy63Ibsf2V84AACWDVYjc3A3wQAAAABJRU5ErkJggg==';
const primary = (page: Page) => page.locator('main form button.primary').first().click();

/** Fills an organization with typical data whose texts contain markup. */
export async function fillPortal(server: PortalServer): Promise<PortalPages> {
  const { post } = server;
  const api = { kind: 'resource_server', resource: 'https://api.example', information: ['orders', 'products'] };
  await post('/clients', { name: 'Shop API', ...api });
  const portal = {
    name: 'Parcel Cloud',
    accent_color: '#0b7a5c',
    logo,
    support_url: 'https://help.example.com',
    return_url: 'https://app.example.com/settings',
  };
  const ceiling = { integrations: 50, key_lifetime: 86_400 * 90 };
  const { id: organization } = await post('/organizations', { name: 'Acme', external_id: 'acme', portal, ceiling });
  const of = { organization_id: organization };
  const scope = 'orders:read orders:create products:read';
  const integration = (name: string, more: object = {}) =>
    post('/clients', { name, kind: 'integration', scope, ...of, ...more });
  const rotate = async (path: string) => {
    const { confirmation } = await post(`${path}/regeneration/review`);
    return await post(`${path}/regenerate`, { confirmation });
  };

  const client = await integration(`Order sync ${hostile}`);
  for (let number = 1; number <= 12; number++) await integration(`Partner ${number}`);
  const jwk = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' });
  const jwks = { keys: [{ ...jwk, kid: hostile }] };
  const { client_id: signing } = await integration('Signs', { auth_method: 'private_key_jwt', jwks });
  const { client_id: disabled } = await integration('Never used');
  await post(`/clients/${disabled}/disable`);
  const email = 'dora@acme.example';
  const { id: contact } = await post('/contacts', { name: `Partner ${hostile}`, email, ...of });
  const keyOf = (name: string) =>
    post(`/contacts/${contact}/access-keys`, { name, permissions: { orders: ['read', 'update'], products: ['read'] } });
  const { id: key, access_key: value } = await keyOf(`Warehouse ${hostile}`);
  const { id: idle } = await keyOf('Never used');
  const { id: rotated } = await keyOf('Partner 0');
  const { regeneration_id: ofKey } = await rotate(`/access-keys/${rotated}`);
  let made = 12;
  /** Opens a page of a new integration or access key, because the forms are sent again by each test. */
  const openOfNew = async (page: Page, kind: 'client' | 'key', path: string) => {
    const name = `Partner ${++made}`;
    const of = kind === 'client' ? (await integration(name)).client_id : (await keyOf(name)).id;
    await page.goto(
      `${server.core.config.portalUrl}/portal/${kind === 'client' ? 'clients' : 'access-keys'}/${of}${path}`,
    );
  };

  const { token } = endpointsOf(server.publicUrl);
  const old = { id: client.client_id, secret: client.client_secret };
  const headers = { 'user-agent': `sync/1.2 ${hostile}` };
  for (let count = 0; count < 4; count++) await token(old, { access_key: value, scope: 'orders:read' }, { headers });
  const { regeneration_id: rotation, client_secret: secret } = await rotate(`/clients/${client.client_id}`);
  await token({ ...old, secret }, {}, { headers });
  await token(old, {}, { headers: { 'user-agent': 'nightly' } });
  await post(`/clients/${client.client_id}/authorization-token`);
  await server.core.usage.flush();

  const person = async (name: string) => {
    const given = { email: `${name.replace(' ', '-')}@acme.example`, name, permissions, ...of };
    const { id } = await post('/contacts', given);
    return { id, token: (await post(`/contacts/${id}/operator-token`)).operator_token };
  };
  const [ann, bob] = [await person('Partner 1'), await person('Partner 2')];
  const asAnn = async (method: string, path: string, body: object) =>
    (await server.adminFetch(path, { method, body, token: ann.token })).json;
  await asAnn('PATCH', '/approvals/settings', { acts: ['delete'] });
  const { approval: own } = await asAnn('DELETE', `/clients/${disabled}`, {});
  const theirs = await server.adminFetch(`/contacts/${contact}`, { method: 'DELETE', token: bob.token });
  const { confirmation } = await post(`/access-keys/${idle}/regeneration/review`);
  const handover = await post(`/access-keys/${idle}/handover`, { confirmation, email: 'it@acme.example' });
  const invited = { email: 'new@acme.example', name: 'Partner 3', permissions: ['integrations:view'], ...of };
  await post('/invitations', { ...invited, site: 'portal' });
  const provider = { name: 'Login', issuer: 'https://login.example', client_id: 'parcel' };
  await post('/identity-providers', { ...provider, ...of });

  const at = `/portal/clients/${client.client_id}`;
  const grace = `${at}/regenerations/${rotation}`;
  const graceOfKey = `/portal/access-keys/${rotated}/regenerations/${ofKey}`;
  const source = 'address=192.0.2.7&user_agent=sync%2F1.0&instance=pod-1';
  return {
    cookie: await server.enter({ contact_id: ann.id }),
    organization,
    pages: {
      home: '/portal/',
      search: '/portal/search?q=partner',
      expirations: '/portal/expirations?days=400',
      posture: '/portal/posture',
      integrations: '/portal/integrations',
      'integrations-none-found': '/portal/integrations?q=zzz',
      'integrations-by-name': '/portal/integrations?order=name&limit=10',
      generate: '/portal/integrations/new',
      'generate-refused': {
        path: '/portal/integrations/new',
        submit: async (page) => {
          await page.evaluate("document.querySelector('main form').noValidate = true");
          await primary(page);
        },
      },
      'generate-review': { path: '/portal/integrations/new', submit: (page) => generate(page) },
      'generate-made': {
        path: '/portal/integrations/new',
        submit: async (page) => {
          await generate(page);
          await primary(page);
        },
      },
      integration: at,
      'integration-of-keys': `/portal/clients/${signing}`,
      'integration-disabled': `/portal/clients/${disabled}`,
      edit: `${at}/edit`,
      disable: `${at}/disable`,
      delete: `/portal/clients/${disabled}/delete`,
      'revoke-tokens': `${at}/revoke-tokens`,
      regenerate: `${at}/regenerate`,
      'regenerate-keys': `/portal/clients/${signing}/regenerate`,
      'regenerate-made': {
        path: '/portal/',
        submit: async (page) => {
          await openOfNew(page, 'client', '/regenerate');
          await page.locator('main form button.danger, main form button.primary').first().click();
        },
      },
      replace: `${at}/replace`,
      'replace-review': {
        path: `${at}/replace`,
        submit: replaceByCertificate,
      },
      extend: `${grace}/extend`,
      finish: `${grace}/finish`,
      undo: `${grace}/undo`,
      'mark-moved': `${grace}/mark-moved?${source}`,
      'unmark-moved': `${grace}/unmark-moved?${source}`,
      'authorization-token': `${at}/authorization-token`,
      'authorization-token-made': { path: `${at}/authorization-token`, submit: primary },
      handover: `${at}/handover`,
      'handover-made': {
        path: '/portal/',
        submit: async (page) => {
          await openOfNew(page, 'client', '/handover');
          await handOver(page);
        },
      },
      'handover-withdraw': `${at}/handover/withdraw`,
      'access-keys': '/portal/access-keys',
      'access-key': `/portal/access-keys/${key}`,
      'access-key-rotated': `/portal/access-keys/${rotated}`,
      'access-key-disable': `/portal/access-keys/${key}/disable`,
      'access-key-remove': `/portal/access-keys/${idle}/remove`,
      'access-key-regenerate': `/portal/access-keys/${key}/regenerate`,
      'access-key-regenerate-made': {
        path: '/portal/',
        submit: async (page) => {
          await openOfNew(page, 'key', '/regenerate');
          await page.locator('main form button.danger, main form button.primary').first().click();
        },
      },
      'access-key-extend': `${graceOfKey}/extend`,
      'access-key-finish': `${graceOfKey}/finish`,
      'access-key-undo': `${graceOfKey}/undo`,
      'access-key-mark-moved': `${graceOfKey}/mark-moved?${source}`,
      'access-key-unmark-moved': `${graceOfKey}/unmark-moved?${source}`,
      'access-key-handover': `/portal/access-keys/${idle}/handover`,
      'access-key-handover-made': {
        path: '/portal/',
        submit: async (page) => {
          await openOfNew(page, 'key', '/handover');
          await handOver(page);
        },
      },
      'access-key-handover-withdraw': `/portal/access-keys/${idle}/handover/withdraw`,
      'access-key-new': `/portal/contacts/${contact}/access-keys/new`,
      'access-key-new-made': {
        path: `/portal/contacts/${contact}/access-keys/new`,
        submit: async (page) => {
          await page.locator('[name=name]').fill(`Partner ${++made}`);
          await page.locator('[name=expires_at]').fill('2026-12-31T12:00');
          await primary(page);
        },
      },
      contacts: '/portal/contacts',
      contact: `/portal/contacts/${contact}`,
      'contact-new': '/portal/contacts/new',
      'contact-edit': `/portal/contacts/${contact}/edit`,
      'contact-delete': `/portal/contacts/${contact}/delete`,
      'contact-keys-disable': `/portal/contacts/${contact}/disable-access-keys`,
      'contact-sessions': `/portal/contacts/${ann.id}/sessions`,
      sessions: '/portal/sessions',
      passkeys: '/portal/passkeys',
      welcome: '/portal/welcome',
      invitations: '/portal/invitations',
      'invitation-new': '/portal/invitations/new',
      'invitation-made': {
        path: '/portal/invitations/new',
        submit: async (page) => {
          await page.locator('[name=name]').fill('Partner 4');
          await page.locator('[name=email]').fill(`${randomUUID()}@acme.example`);
          await page.locator('main form input[name=permissions]').first().check();
          await primary(page);
        },
      },
      'invitation-resent': {
        path: '/portal/invitations',
        submit: (page) => page.locator('form[action$="/resend"] button').first().click(),
      },
      history: '/portal/audit',
      'history-none': '/portal/audit?target=Partner',
      approvals: '/portal/approvals',
      'approval-own': `/portal/approvals/${own.id}`,
      approval: `/portal/approvals/${theirs.json.approval.id}`,
      'approval-settings': '/portal/approvals/settings',
      'not-found': '/portal/nowhere',
      'handover-link': new URL(handover.url).pathname,
      'handover-ended': '/portal/handover/nowhere',
      link: {
        path: '/portal/sign-in',
        submit: async (page) => {
          // Its script would press the button.
          await page.route('**/*.js', (route) => route.abort());
          await page.goto(await server.link({ ...of, email, name: 'Partner' }, []));
          await page.unroute('**/*.js');
        },
      },
      'link-used': '/portal/sign-in?code=used',
      'signed-out': '/portal/sign-in',
      'sign-in-mail-sent': '/portal/sign-in/mail',
      'sign-in-organization': '/portal/sign-in/acme',
      'sign-in-unknown': '/portal/sign-in/find?q=nobody',
    },
  };
}

async function generate(page: Page): Promise<void> {
  await page.locator('main [name=name]').fill(`Partner ${randomUUID()}`);
  await page.locator('main input[name=permission]').first().check();
  await primary(page);
}

async function handOver(page: Page): Promise<void> {
  await page.locator('[name=receiver]').fill('it@acme.example');
  await primary(page);
}
