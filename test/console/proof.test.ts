import { z } from 'zod';
import { consolePages } from '../../src/admin/console/pages.ts';
import { adminEndpoints } from '../../src/admin/endpoints.ts';
import { endpointsOf } from '../oauth/fixture.ts';
import { type ConsoleServer, cookieOf, startConsole } from './console-server.ts';

const minute = 60_000;
let now = Date.now();
let server: ConsoleServer;
let client: { client_id: string; client_secret: string };
let contactId: string;
let keyId: string;
let organizationId: string;
let providerId: string;
let webhookId: string;
let trustId: string;
let operatorTokenId: string;
let api: { client_id: string; client_secret: string };

beforeAll(async () => {
  server = await startConsole({ clock: () => now });
  api = await post('/clients', {
    name: 'API',
    kind: 'resource_server',
    resource: 'https://api.example',
    information: ['orders'],
  });
  client = await post('/clients', { name: 'Sync', kind: 'integration', scope: 'orders:read' });
  contactId = (await post('/contacts', { name: 'Bo', email: 'bo@example.com' })).id;
  providerId = (await post('/identity-providers', { name: 'Login', issuer: 'https://login.example', client_id: 'x' }))
    .id;
  webhookId = (await post('/webhooks', { name: 'Chat', url: 'https://hooks.example' })).id;
  const issuer = { issuer: 'https://login.example', conditions: [{ claim: 'sub', equals: 'x' }] };
  trustId = (await post('/trusts', { name: 'Deployment', client_id: client.client_id, ...issuer })).id;
  const limits = { name: 'Pipeline', permissions: ['integrations:view'], contact_id: (await server.operator()).id };
  operatorTokenId = (await post('/operator-tokens', limits)).id;
  organizationId = (await post('/organizations', { name: 'Acme' })).id;
  keyId = (await post(`/contacts/${contactId}/access-keys`, { name: 'Key', permissions: { orders: ['read'] } })).id;
});
afterAll(() => server?.close());

async function post(path: string, body: unknown = {}) {
  const { status, json, text } = await server.adminFetch(path, { method: 'POST', body });
  if (status > 299) throw new Error(`${path}: ${text}`);
  return json;
}

/** Signs in an operator whose proof of identity is 16 minutes old. */
async function signInEarlier() {
  const { id, token } = await server.operator();
  const cookie = await server.signIn(token);
  now += 16 * minute;
  return { id, token, cookie };
}

const actionsOf = async (actor: string) =>
  (await server.adminFetch(`/audit-events?actor=${actor}`)).json.data.map(({ action }: { action: string }) => action);
const shown = (text: string, id: string) => new RegExp(`<code id="${id}">([^<]*)</code>`).exec(text)?.[1] ?? '';
const fill = (path: string) =>
  path
    .replace(':client_id', client.client_id)
    .replace('/contacts/:id', `/contacts/${contactId}`)
    .replace('/access-keys/:id', `/access-keys/${keyId}`)
    .replace('/identity-providers/:id', `/identity-providers/${providerId}`)
    .replace('/webhooks/:id', `/webhooks/${webhookId}`)
    .replace('/trusts/:id', `/trusts/${trustId}`)
    .replace('/operator-tokens/:id', `/operator-tokens/${operatorTokenId}`)
    .replace('/organizations/:id', `/organizations/${organizationId}`)
    .replace(':regeneration_id', crypto.randomUUID());

describe('a session whose proof of identity is older than 15 minutes', () => {
  /**
   * Pages that need no recent proof, because they reveal no secret and grant no access. Revoking access must be quick.
   */
  const unasked = [
    '/integrations/new',
    '/resource-servers/new',
    '/explain',
    '/clients/:client_id/disable',
    '/clients/:client_id/revoke-tokens',
    '/clients/:client_id/delete',
    '/clients/:client_id/authorization-token/revoke',
    '/clients/:client_id/regenerations/:regeneration_id/finish',
    '/clients/:client_id/regenerations/:regeneration_id/mark-moved',
    '/clients/:client_id/regenerations/:regeneration_id/unmark-moved',
    '/access-keys/:id/disable',
    '/access-keys/:id/remove',
    '/access-keys/:id/regenerations/:regeneration_id/finish',
    '/access-keys/:id/regenerations/:regeneration_id/mark-moved',
    '/access-keys/:id/regenerations/:regeneration_id/unmark-moved',
    '/sessions/:session_id/end',
    '/sessions/end-all',
    '/contacts/:id/sessions/:session_id/end',
    '/contacts/:id/sessions/end-all',
    '/operator-tokens/:id/revoke',
    '/identity-providers/:id/delete',
    '/contacts/:id/disable-access-keys',
    '/contacts/:id/operator-token/revoke',
    '/contacts/:id/delete',
    '/organizations/new',
    '/organizations/:id/disable',
    '/organizations/:id/delete',
    '/signing-keys/rotate',
    '/clients/:client_id/handover/withdraw',
    '/access-keys/:id/handover/withdraw',
    '/notices/:id/retry',
    '/notices/settings',
    // The edit that it undoes asked for a proof, in the same session.
    '/undo-edit',
    '/trusts/test',
    '/trusts/:id/delete',
    '/webhooks/:id/delete',
    '/webhooks/:id/disable',
    // They send to a URL that was confirmed when it was set.
    '/webhooks/:id/enable',
    '/webhooks/:id/replay',
    '/webhooks/:id/rotation/finish',
    '/webhooks/:id/rotation/undo',
    '/webhooks/:id/test',
    '/signing-keys/:kid/revoke',
    '/invitations/:id/withdraw',
    '/passkeys/:passkey_id/remove',
    '/operator-tokens/:id/acknowledge',
    // It gives a reason for a request and grants nothing.
    '/approvals/:id/explain',
    // Only for a person who was invited and has nothing else yet to prove their identity with.
    '/welcome/token',
  ];
  const doors = consolePages.filter(({ method, path }) => method === 'post' && !unasked.includes(path));

  it.each(doors.map(({ path }) => [path]))('is asked for the operator token by POST %s', async (path) => {
    const { id, cookie } = await signInEarlier();
    if (path.endsWith('/undo')) await server.send(`/console/contacts/${contactId}/disable-access-keys`, {}, cookie);
    const before = await actionsOf(id);
    const name = path.startsWith('/access-keys') ? 'Key' : path.startsWith('/contacts') ? 'Bo' : 'Sync';
    const login = { issuer: 'https://login.example', client_id: 'x', scope: 'openid', claim: 'groups' };
    const given = { receiver: 'Bo', url: 'https://hooks.example', since: '2026-01-01T00:00:00Z' };
    const trust = { client: client.client_id, audience: 'x', conditions: 'sub=x', max_lifetime: '300' };
    const form = {
      ...login,
      ...given,
      ...trust,
      name,
      email: 'bo@example.com',
      permission: 'orders:read',
      reveal: 'on',
    };
    const answer = await server.send(`/console${fill(path)}`, form, cookie);
    expect(answer.text).toContain('Confirm it’s you');
    expect(answer.text).not.toMatch(/kt[sako]_\w{40}/);
    expect(await actionsOf(id)).toEqual(before);
    if (path.endsWith('/undo')) await post(`/access-keys/${keyId}/enable`);
  });

  it('is asked for proof by every endpoint whose response contains a secret', () => {
    const secrets = ['client_secret', 'operator_token', 'access_token', 'access_key'];
    const isSecret = (path: string, field: string) =>
      secrets.includes(field) && (field !== 'access_key' || !path.startsWith('/clients'));
    const telling = adminEndpoints(server.core).filter(({ path, answers }) =>
      Object.values(answers).some(
        (schema) => schema instanceof z.ZodObject && Object.keys(schema.shape).some((field) => isSecret(path, field)),
      ),
    );
    expect(telling.length).toBeGreaterThan(7);
    expect(telling.filter(({ asksProof }) => !asksProof).map(({ path }) => path)).toEqual([]);
  });

  it('keeps the fields of its form and completes it after the proof', async () => {
    const { token, cookie } = await signInEarlier();
    const form = { name: 'Kept <&"', scope: '', reveal: 'on', once: 'kept-1' };
    const asked = await server.send('/console/integrations', form, cookie);
    expect(asked.text).toContain('name="name" value="Kept &lt;&amp;&quot;"');
    const wrong = await server.send('/console/integrations', { ...form, operator_token: 'kto_x' }, cookie);
    expect(wrong.status).toBe(401);
    expect(wrong.text).toContain('name="name" value="Kept &lt;&amp;&quot;"');
    const made = await server.sendAndLook('/console/integrations', { ...form, operator_token: token }, cookie);
    expect(shown(made.text, 'client-secret')).toMatch(/^kts_/);
  });

  it('cannot use the operator token of another operator as proof', async () => {
    const { cookie } = await signInEarlier();
    const { token } = await server.operator();
    const form = { name: 'Stolen', reveal: 'on', operator_token: token };
    expect((await server.send('/console/integrations', form, cookie)).status).toBe(401);
    expect((await server.adminFetch('/clients?q=Stolen')).json.data).toEqual([]);
  });

  it('cannot issue itself an operator token to use as proof', async () => {
    const { id, cookie } = await signInEarlier();
    const at = `/console/contacts/${id}/operator-token`;
    const answers = [await server.look(at, cookie), await server.send(at, {}, cookie)];
    for (const { text } of answers) expect(text).toContain('Confirm it’s you');
    expect(await actionsOf(id)).not.toContain('operator_token.issue');
  });
});

describe('the result page of a console form', () => {
  const made = async (cookie: string, name: string) => {
    const answer = await server.send('/console/integrations', { name, reveal: 'on', once: `of-${name}` }, cookie);
    expect(answer.status).toBe(303);
    return answer.location ?? '';
  };

  it('shows the same secret after a reload and creates nothing', async () => {
    const cookie = await server.signIn(await server.operatorToken());
    const at = await made(cookie, 'Reloaded');
    const looks = [await server.look(at, cookie), await server.look(at, cookie)];
    expect(new Set(looks.map(({ text }) => shown(text, 'client-secret'))).size).toBe(1);
    expect(shown(looks[0]?.text ?? '', 'client-secret')).toMatch(/^kts_/);
    expect(looks[0]?.headers.get('cache-control')).toBe('no-store');
    expect((await server.adminFetch('/clients?q=Reloaded')).json.data).toHaveLength(1);
  });

  it('does not revoke an API authorization token on reload', async () => {
    const cookie = await server.signIn(await server.operatorToken());
    const at = `/console/clients/${client.client_id}/authorization-token`;
    const { location } = await server.send(at, { once: 'token-1' }, cookie);
    const [first, second] = [await server.look(location ?? '', cookie), await server.look(location ?? '', cookie)];
    const token = shown(first.text, 'access-token');
    expect(shown(second.text, 'access-token')).toBe(token);
    const { introspect } = endpointsOf(server.publicUrl);
    const answer = await introspect({ id: api.client_id, secret: api.client_secret }, token);
    expect(answer.json).toMatchObject({ active: true });
  });

  it('is not shown to any other session, even of the same operator', async () => {
    const { token } = await server.operator();
    const at = await made(await server.signIn(token), 'Private');
    for (const other of [token, await server.operatorToken()]) {
      const answer = await server.look(at, await server.signIn(other));
      expect(answer.status).toBe(404);
      expect(answer.text).not.toContain('kts_');
    }
  });

  it('is not shown after ten minutes', async () => {
    const cookie = await server.signIn(await server.operatorToken());
    const at = await made(cookie, 'Brief');
    now += 10 * minute + 1;
    const answer = await server.look(at, cookie);
    expect(answer.status).toBe(404);
    expect(answer.text).toContain('No longer shown here');
  });

  it('requires a recent proof of identity', async () => {
    const { token } = await server.operator();
    const cookie = await server.signIn(token);
    now += 14 * minute;
    const at = await made(cookie, 'Late');
    now += 2 * minute;
    const asked = await server.look(at, cookie);
    expect(asked.text).toContain('Confirm it’s you');
    expect(asked.text).not.toContain('kts_');
    const proved = await server.sendAndLook('/console/prove', { next: at, operator_token: token }, cookie);
    expect(shown(proved.text, 'client-secret')).toMatch(/^kts_/);
  });

  it('records each view after the first in the audit log, even if the form is sent again', async () => {
    const { id, token } = await server.operator();
    const cookie = await server.signIn(token);
    const at = await made(cookie, 'Looked');
    await server.look(at, cookie);
    expect(await actionsOf(id)).not.toContain('secret.show_again');
    await server.look(at, cookie);
    await server.look(await made(cookie, 'Looked'), cookie);
    const { json } = await server.adminFetch(`/audit-events?actor=${id}&action=secret.show_again`);
    const { client_id: target } = (await server.adminFetch('/clients?q=Looked')).json.data[0];
    expect(json.data).toEqual([
      expect.objectContaining({ target_type: 'client', target }),
      expect.objectContaining({ target_type: 'client', target }),
    ]);
  });

  it('keeps the session of an operator who issues their own new token, and ends their other sessions', async () => {
    const { id, token } = await server.operator();
    const [cookie, other] = [await server.signIn(token), await server.signIn(token)];
    const issued = await server.send(`/console/contacts/${id}/operator-token`, { once: 'own-1' }, cookie);
    const renewed = cookieOf(issued);
    const page = await server.look(issued.location ?? '', renewed);
    const fresh = shown(page.text, 'operator-token');
    expect(fresh).toMatch(/^kto_/);
    expect((await server.adminFetch('/clients', { token: fresh })).status).toBe(200);
    for (const ended of [cookie, other]) {
      expect((await server.look('/console/integrations', ended)).location).toContain('/console/sign-in');
    }
  });
});

it('records in the audit log that a repeated API request returned a secret again', async () => {
  const { id, token } = await server.operator();
  const request = {
    method: 'POST',
    token,
    body: { name: 'Repeated', kind: 'integration' },
    headers: { 'idempotency-key': 'r1' },
  };
  const first = await server.adminFetch('/clients', request);
  expect(await actionsOf(id)).toEqual(['client.create']);
  expect((await server.adminFetch('/clients', request)).json).toEqual(first.json);
  expect(await actionsOf(id)).toEqual(['secret.show_again', 'client.create']);
});
