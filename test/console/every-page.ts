import { generateKeyPairSync } from 'node:crypto';
import axe from 'axe-core';
import type { Page } from 'playwright-core';
import { makeCertificate } from '../certificates.ts';
import { endpointsOf } from '../oauth/fixture.ts';
import { makeIssuerKey, signWith } from '../trusts/fake-issuer.ts';
import type { ConsoleServer } from './console-server.ts';

/** The pages of the console, with typical data, and what is checked on each of them. */

/** Text that must not be run as markup. */
export const hostile = `<script>window.wasRun=1</script><img src=x onerror="window.wasRun=1">"'&`;

/** A page that a form leads to: opens the path and submits the form. */
export type FormPage = { path: string; submit: (page: Page) => Promise<void> };

/** Paths of pages by the names of their screenshots. */
export const paths: Record<string, string | FormPage> = {
  home: '/console/',
  'sign-in': '/console/sign-in',
  search: '/console/search?q=Partner',
  expirations: '/console/expirations?days=400',
  notices: '/console/notices',
  'notice-settings': '/console/notices/settings',
  approvals: '/console/approvals',
  invitations: '/console/invitations',
  'invitation-new': '/console/invitations/new',
  welcome: '/console/welcome',
  passkeys: '/console/passkeys',
  'approval-settings': '/console/approvals/settings',
  integrations: '/console/integrations',
  'integrations-found': '/console/integrations?q=Order',
  'integrations-none-found': '/console/integrations?q=zzz',
  generate: '/console/integrations/new',
  'integrations-by-name': '/console/integrations?order=name&limit=25',
  'access-keys': '/console/access-keys',
  'access-keys-unclear': '/console/access-keys?client_id=Partner',
  contacts: '/console/contacts',
  organizations: '/console/organizations',
  'organization-new': '/console/organizations/new',
  sessions: '/console/sessions',
  posture: '/console/posture',
  policies: '/console/policies',
  policy: '/console/policies/secret_age',
  'operator-tokens': '/console/operator-tokens',
  'operator-token-new': '/console/operator-tokens/new',
  'identity-providers': '/console/identity-providers',
  'identity-provider-new': '/console/identity-providers/new',
  'contact-new': '/console/contacts/new',
  'resource-servers': '/console/resource-servers',
  'resource-server-new': '/console/resource-servers/new',
  'signing-keys': '/console/signing-keys',
  audit: '/console/audit',
  'audit-erase': '/console/audit/erase?contact=5b1e7c3a-90d4-4c1e-8f27-6a0d2b9c4e18',
  'audit-unclear': '/console/audit?target=Partner',
  explain: '/console/explain',
  system: '/console/system',
  'api-reference': '/console/api',
  'api-operation': '/console/api/createClient',
  'api-operation-public': '/console/api/introspectToken',
  'not-found': '/console/nowhere',
};

/** Opens each page, one after the other. Yields the name of the page that is open. */
export async function* openEach(page: Page, url: string, pages = paths): AsyncGenerator<string> {
  for (const [name, path] of Object.entries(pages)) {
    await page.goto(url + (typeof path === 'string' ? path : path.path));
    if (typeof path !== 'string') await path.submit(page);
    yield name;
  }
}

/** Finds problems that axe does not check: overflow, labels of acts, touching buttons, and stored markup that was executed. */
export async function problemsOf(page: Page): Promise<string[]> {
  return (await page.evaluate(`(() => {
    const found = [];
    const { scrollWidth, clientWidth } = document.documentElement;
    const isOut = (element) => element.getBoundingClientRect().right > clientWidth + 0.5;
    const [out] = [...document.querySelectorAll('main, main *:not(thead *)')].filter(isOut);
    if (scrollWidth > clientWidth) found.push('wider than the window: ' + (out?.outerHTML.slice(0, 120) ?? 'something'));
    for (const cell of document.querySelectorAll('.table td')) {
      const acts = [...cell.querySelectorAll('button, .button')].map((act) => act.textContent.trim()).join('');
      const isLabelled = !['none', 'normal'].includes(getComputedStyle(cell, '::before').content);
      if (acts && acts === cell.textContent.trim() && isLabelled) found.push('a label before the act ' + acts);
    }
    const range = document.createRange();
    for (const cell of innerWidth < 1000 ? [] : document.querySelectorAll('.table td .whole')) {
      const [text] = cell.childNodes;
      if (text?.nodeType !== 3 || /[ -]/.test(text.data)) continue;
      range.selectNodeContents(text);
      if (range.getClientRects().length > 1) found.push('a word is broken: ' + text.data.slice(0, 40));
    }
    const boxes = [...document.querySelectorAll('main button, main .button')]
      .map((button) => ({ text: button.textContent.trim(), box: button.getBoundingClientRect() }))
      .filter(({ box }) => box.width > 0);
    for (const one of boxes) {
      const isTouched = ({ box }) =>
        Math.abs(box.top - one.box.bottom) < 3 && box.left < one.box.right && one.box.left < box.right;
      const touched = boxes.find(isTouched);
      if (touched) found.push('the buttons "' + one.text + '" and "' + touched.text + '" touch');
    }
    if (window.wasRun) found.push('stored markup was run');
    return found;
  })()`)) as string[];
}

/**
 * Runs axe on a page.
 * @param rules ids of the rules to check, by default all.
 */
export async function violationsOf(page: Page, rules?: readonly string[]): Promise<string[]> {
  await page.evaluate(axe.source);
  const options = rules ? { runOnly: rules } : {};
  return (await page.evaluate(`axe.run(${JSON.stringify(options)}).then(({ violations }) =>
    violations.flatMap(({ id, nodes }) => nodes.map(({ target }) => id + ' ' + target)))`)) as string[];
}

/**
 * Fills the server with typical data whose texts contain markup.
 * @returns the paths of the pages of this data.
 */
export async function fill({ adminFetch, publicUrl, look, operator, signIn }: ConsoleServer): Promise<typeof paths> {
  const post = async (path: string, body: unknown = {}) => {
    const { status, json, text } = await adminFetch(path, { method: 'POST', body });
    if (status > 299) throw new Error(`${path}: ${text}`);
    return json;
  };
  const api = await post('/clients', {
    name: `Shop API ${hostile}`,
    kind: 'resource_server',
    resource: 'https://api.example.com/a-rather-long-path/that-does-not-break-anywhere-in-the-middle',
    information: ['orders', 'products', 'contacts', 'invoices_and_credit_notes'],
  });
  const scope = 'orders:read orders:create products:read';
  const order = await post('/clients', { name: `Order sync ${hostile}`, kind: 'integration', scope });
  for (let number = 1; number <= 12; number++) {
    await post('/clients', { name: `Partner ${number}`, kind: 'integration', scope: 'orders:read' });
  }
  const partner = await post('/organizations', {
    name: `Partner ${hostile}`,
    external_id: `crm ${hostile}`,
    labels: { tier: hostile },
    ceiling: { integrations: 5, key_lifetime: 86_400, scopes: [{ resource: api.resource, scope: 'orders:read' }] },
  });
  await post('/clients', { name: 'Of a partner', kind: 'integration', organization_id: partner.id });
  await post('/contacts', { name: 'Of a partner', email: 'it@partner.example', organization_id: partner.id });
  const jwk = {
    ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' }),
    kid: hostile,
  };
  const signing = await post('/clients', {
    name: 'Signs',
    kind: 'integration',
    auth_method: 'private_key_jwt',
    jwks: { keys: [jwk] },
  });
  const contact = await post('/contacts', {
    name: `Partner ${hostile}`,
    email: 'it@partner.example',
    external_id: `crm ${hostile}`,
    permissions: ['integrations:view'],
  });
  const key = await post(`/contacts/${contact.id}/access-keys`, {
    name: `Warehouse ${hostile}`,
    permissions: { orders: ['read', 'update'], products: ['read'] },
  });
  const idle = await post(`/contacts/${contact.id}/access-keys`, {
    name: 'Never used',
    permissions: { orders: ['read'] },
  });

  const trust = await post('/trusts', {
    client_id: order.client_id,
    name: `nightly ${hostile}`,
    issuer: 'https://login.example.com/a-rather-long-path/that-does-not-break-anywhere-in-the-middle',
    conditions: [
      { claim: 'sub', equals: hostile },
      { claim: 'ref', prefix: 'refs/heads/' },
    ],
  });
  const signer = await makeIssuerKey(`key ${hostile}`);
  const tested = { client_id: order.client_id, issuer: 'https://ci.example.com', jwks: { keys: [signer.jwk] } };
  const conditions = [
    { claim: 'sub', equals: 'deploy' },
    { claim: 'ref', prefix: 'refs/heads/' },
  ];
  await post('/trusts', { ...tested, name: `nightly ${hostile}`, conditions });
  const seconds = Math.floor(Date.now() / 1_000);
  const claims = { iss: 'https://ci.example.com', aud: hostile, sub: hostile, iat: seconds, exp: seconds + 60 };
  const trial = await signWith(signer, claims);
  const webhook = await post('/webhooks', { name: `Chat ${hostile}`, url: 'https://hooks.example.com/keyturn' });
  await post(`/webhooks/${webhook.id}/rotate`);
  const { confirmation } = await post(`/access-keys/${idle.id}/regeneration/review`);
  await post(`/access-keys/${idle.id}/handover`, { confirmation, contact_id: contact.id });

  const { token } = endpointsOf(publicUrl);
  const headers = { 'user-agent': `sync/1.2 ${hostile}` };
  const old = { id: order.client_id, secret: order.client_secret };
  for (let count = 0; count < 6; count++) await token(old, {}, { headers });
  await token(old, { access_key: key.access_key, scope: 'orders:read' }, { headers });
  const review = await post(`/clients/${order.client_id}/regeneration/review`);
  const turned = await post(`/clients/${order.client_id}/regenerate`, { confirmation: review.confirmation });
  for (let count = 0; count < 3; count++) await token({ ...old, secret: turned.client_secret }, {}, { headers });
  for (let count = 0; count < 2; count++) await token(old, {}, { headers: { 'user-agent': 'nightly' } });
  await post(`/clients/${order.client_id}/authorization-token`);

  // Usage counts are written in batches, so wait until they are visible.
  const at = `/console/clients/${order.client_id}`;
  const pipeline = await post('/operator-tokens', {
    name: `Pipeline ${hostile}`,
    contact_id: contact.id,
    permissions: ['integrations:view'],
    allowed_networks: ['203.0.113.0/24'],
    break_glass: true,
  });
  const login = await post('/identity-providers', {
    name: `Login ${hostile}`,
    issuer: 'https://login.example.com/a-rather-long-path',
    client_id: hostile,
    grants: [{ value: hostile, permissions: ['integrations:view', 'audit:view'] }],
  });
  const me = await operator();
  const seen = await signIn(me.token);
  const deadline = Date.now() + 15_000;
  while (!(await look(at, seen)).text.includes('nightly')) {
    if (Date.now() > deadline) throw new Error('the use was not written');
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return {
    organization: `/console/organizations/${partner.id}`,
    'organization-edit': `/console/organizations/${partner.id}/edit`,
    'organization-disable': `/console/organizations/${partner.id}/disable`,
    client: at,
    'client-edit': `${at}/edit`,
    'client-token': `${at}/authorization-token`,
    'explain-client': `/console/explain?id=${order.client_id}`,
    'client-regenerate': `${at}/regenerate`,
    'client-disable': `${at}/disable`,
    'client-revoke-tokens': `${at}/revoke-tokens`,
    'client-replace': `${at}/replace`,
    'client-replace-wrong': {
      path: `${at}/replace`,
      submit: async (page) => {
        await page.locator('[value=self_signed_tls_client_auth]').check();
        await page.locator('form.card button.primary').click();
      },
    },
    'client-replace-review': {
      path: `${at}/replace`,
      submit: replaceByCertificate,
    },
    'client-with-keys': `/console/clients/${signing.client_id}`,
    'client-with-keys-replace': `/console/clients/${signing.client_id}/replace`,
    'client-finish': `${at}/regenerations/${turned.regeneration_id}/finish`,
    'client-undo': `${at}/regenerations/${turned.regeneration_id}/undo`,
    'client-mark-moved': `${at}/regenerations/${turned.regeneration_id}/mark-moved?address=192.0.2.7&user_agent=sync%2F1.0&instance=pod-1`,
    'client-unmark-moved': `${at}/regenerations/${turned.regeneration_id}/unmark-moved?address=192.0.2.7&user_agent=sync%2F1.0&instance=pod-1`,
    'resource-server': `/console/clients/${api.client_id}`,
    contact: `/console/contacts/${contact.id}`,
    'identity-provider': `/console/identity-providers/${login.id}`,
    'operator-token-networks': `/console/operator-tokens/${pipeline.id}/networks`,
    'contact-sessions': `/console/contacts/${me.id}/sessions`,
    'contact-edit': `/console/contacts/${contact.id}/edit`,
    'contact-keys-disable': `/console/contacts/${contact.id}/disable-access-keys`,
    'access-key': `/console/access-keys/${key.id}`,
    'access-key-unused': `/console/access-keys/${idle.id}`,
    'access-key-new': `/console/contacts/${contact.id}/access-keys/new`,
    'access-key-regenerate': `/console/access-keys/${key.id}/regenerate`,
    'access-key-disable': `/console/access-keys/${key.id}/disable`,
    'access-key-remove': `/console/access-keys/${idle.id}/remove`,
    trusts: '/console/trusts',
    trust: `/console/trusts/${trust.id}`,
    'trust-edit': `/console/trusts/${trust.id}/edit`,
    'trust-delete': `/console/trusts/${trust.id}/delete`,
    'trust-new': '/console/trusts/new',
    'trust-new-github': '/console/trusts/new?preset=github',
    'trust-test': {
      path: '/console/trusts/test',
      submit: async (page) => {
        await page.locator('[name=token]').fill(trial);
        await page.locator('main form button.primary').click();
      },
    },
    webhooks: '/console/webhooks',
    'webhook-new': '/console/webhooks/new',
    'webhook-made': {
      path: '/console/webhooks/new',
      submit: async (page) => {
        await page.locator('[name=name]').fill('New');
        await page.locator('[name=url]').fill('https://hooks.example.com/new');
        await page.locator('form button.primary').click();
      },
    },
    webhook: `/console/webhooks/${webhook.id}`,
    'webhook-edit': `/console/webhooks/${webhook.id}/edit`,
    'webhook-rotate': `/console/webhooks/${webhook.id}/rotate`,
    'webhook-replay': `/console/webhooks/${webhook.id}/replay`,
    'webhook-finish': `/console/webhooks/${webhook.id}/rotation/finish`,
    'webhook-delete': `/console/webhooks/${webhook.id}/delete`,
    'access-key-handover': `/console/access-keys/${idle.id}/handover`,
    'access-key-handover-made': {
      path: `/console/access-keys/${key.id}/handover`,
      submit: async (page) => {
        await page.locator('[name=receiver]').fill('ann@example.com');
        await page.locator('form button.primary').click();
      },
    },
    'access-key-handover-withdraw': `/console/access-keys/${idle.id}/handover/withdraw`,
  };
}

/** Asks for the review of a replacement by a certificate. */
export async function replaceByCertificate(page: Page): Promise<void> {
  await page.locator('[value=self_signed_tls_client_auth]').check();
  await page.locator('[name=proof]').fill(makeCertificate({ subject: 'sync' }).cert);
  await page.locator('form.card button.primary').click();
}
