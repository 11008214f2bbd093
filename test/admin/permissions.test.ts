import { type Permission, permissions } from '../../src/contacts/contact.ts';
import { generateClientId } from '../../src/credentials/credential-format.ts';
import { sendRaw } from '../oauth/http-client.ts';
import { type AdminServer, startAdminServer } from './admin-server.ts';

/** The permission that each route requires. A test checks that no route is missing. */
const table: Record<string, Permission> = {
  'post /clients': 'api_key:manage',
  'get /clients': 'integrations:view',
  'get /clients/{client_id}': 'integrations:view',
  'patch /clients/{client_id}': 'integrations:edit',
  'delete /clients/{client_id}': 'api_key:manage',
  'post /clients/{client_id}/disable': 'integrations:edit',
  'post /clients/{client_id}/enable': 'integrations:edit',
  'post /clients/{client_id}/secret/reveal': 'api_key:manage',
  'post /clients/{client_id}/tokens/revoke': 'api_key:manage',
  'post /clients/{client_id}/authorization-token': 'api_key:manage',
  'get /clients/{client_id}/authorization-token': 'integrations:view',
  'delete /clients/{client_id}/authorization-token': 'api_key:manage',
  'post /clients/{client_id}/regeneration/review': 'api_key:manage',
  'post /clients/{client_id}/regenerate': 'api_key:manage',
  'post /clients/{client_id}/handover': 'api_key:manage',
  'get /clients/{client_id}/handover': 'integrations:view',
  'delete /clients/{client_id}/handover': 'api_key:manage',
  'get /clients/{client_id}/regenerations': 'integrations:view',
  'post /clients/{client_id}/regenerations/{regeneration_id}/undo': 'api_key:manage',
  'post /clients/{client_id}/regenerations/{regeneration_id}/finish': 'api_key:manage',
  'post /clients/{client_id}/regenerations/{regeneration_id}/mark-moved': 'api_key:manage',
  'post /clients/{client_id}/regenerations/{regeneration_id}/unmark-moved': 'api_key:manage',
  'post /clients/{client_id}/regenerations/{regeneration_id}/extend': 'api_key:manage',
  'get /clients/{client_id}/usage': 'integrations:view',
  'get /clients/{client_id}/scope-usage': 'integrations:view',
  'get /configuration': 'integrations:view',
  'post /configuration/plan': 'integrations:view',
  'post /configuration/apply': 'integrations:view',
  'post /contacts': 'contacts:manage',
  'get /contacts': 'integrations:view',
  'get /contacts/{id}': 'integrations:view',
  'patch /contacts/{id}': 'contacts:manage',
  'delete /contacts/{id}': 'contacts:manage',
  'post /operator-tokens/{id}/acknowledge': 'contacts:manage',
  'post /contacts/{id}/operator-token': 'contacts:manage',
  'delete /contacts/{id}/operator-token': 'contacts:manage',
  'get /contacts/{id}/sessions': 'contacts:manage',
  'delete /contacts/{id}/sessions': 'contacts:manage',
  'delete /contacts/{id}/sessions/{session_id}': 'contacts:manage',
  'post /portal-sessions': 'contacts:manage',
  'get /offers': 'integrations:view',
  'post /identity-providers': 'contacts:manage',
  'get /identity-providers': 'contacts:manage',
  'get /identity-providers/{id}': 'contacts:manage',
  'patch /identity-providers/{id}': 'contacts:manage',
  'delete /identity-providers/{id}': 'contacts:manage',
  'post /organizations': 'contacts:manage',
  'get /organizations': 'integrations:view',
  'get /organizations/{id}': 'integrations:view',
  'patch /organizations/{id}': 'contacts:manage',
  'delete /organizations/{id}': 'contacts:manage',
  'post /organizations/{id}/disable': 'contacts:manage',
  'post /organizations/{id}/enable': 'contacts:manage',
  'post /trusts': 'api_key:manage',
  'get /trusts': 'integrations:view',
  'post /trusts/test': 'integrations:view',
  'get /trusts/{id}': 'integrations:view',
  'patch /trusts/{id}': 'api_key:manage',
  'delete /trusts/{id}': 'api_key:manage',
  'get /access-keys': 'integrations:view',
  'post /contacts/{id}/access-keys': 'integrations:edit',
  'post /contacts/{id}/access-keys/disable': 'integrations:edit',
  'get /contacts/{id}/access-keys': 'integrations:view',
  'get /contacts/{id}/access-keys/disable': 'integrations:view',
  'get /access-keys/{id}': 'integrations:view',
  'patch /access-keys/{id}': 'integrations:edit',
  'post /access-keys/{id}/disable': 'integrations:edit',
  'post /access-keys/{id}/enable': 'integrations:edit',
  'delete /access-keys/{id}': 'integrations:edit',
  'post /access-keys/{id}/reveal': 'api_key:manage',
  'get /access-keys/{id}/usage': 'integrations:view',
  'post /access-keys/{id}/regeneration/review': 'integrations:edit',
  'post /access-keys/{id}/regenerate': 'integrations:edit',
  'post /access-keys/{id}/handover': 'integrations:edit',
  'get /access-keys/{id}/handover': 'integrations:view',
  'delete /access-keys/{id}/handover': 'integrations:edit',
  'get /access-keys/{id}/regenerations': 'integrations:view',
  'post /access-keys/{id}/regenerations/{regeneration_id}/undo': 'integrations:edit',
  'post /access-keys/{id}/regenerations/{regeneration_id}/finish': 'integrations:edit',
  'post /access-keys/{id}/regenerations/{regeneration_id}/mark-moved': 'integrations:edit',
  'post /access-keys/{id}/regenerations/{regeneration_id}/unmark-moved': 'integrations:edit',
  'post /access-keys/{id}/regenerations/{regeneration_id}/extend': 'integrations:edit',
  'post /webhooks': 'api_key:manage',
  'get /webhooks': 'integrations:view',
  'get /webhooks/{id}': 'integrations:view',
  'patch /webhooks/{id}': 'api_key:manage',
  'delete /webhooks/{id}': 'api_key:manage',
  'post /webhooks/{id}/enable': 'api_key:manage',
  'post /webhooks/{id}/disable': 'api_key:manage',
  'post /webhooks/{id}/rotate': 'api_key:manage',
  'post /webhooks/{id}/rotation/finish': 'api_key:manage',
  'post /webhooks/{id}/rotation/undo': 'api_key:manage',
  'post /webhooks/{id}/test': 'api_key:manage',
  'get /webhooks/{id}/deliveries': 'integrations:view',
  'post /webhooks/{id}/replay': 'api_key:manage',
  'post /leaks': 'api_key:manage',
  'post /audit-events/erase': 'contacts:manage',
  'post /explain': 'integrations:view',
  'post /explain/token-request': 'integrations:view',
  'post /clients/import': 'api_key:manage',
  'get /attention': 'integrations:view',
  'get /contacts/{id}/passkeys': 'contacts:manage',
  'delete /contacts/{id}/passkeys/{passkey_id}': 'contacts:manage',
  'post /invitations': 'contacts:manage',
  'get /invitations': 'contacts:manage',
  'post /invitations/{id}/resend': 'contacts:manage',
  'delete /invitations/{id}': 'contacts:manage',
  'patch /approvals/settings': 'contacts:manage',
  'get /expirations': 'integrations:view',
  'get /notices': 'integrations:view',
  'get /notices/settings': 'integrations:view',
  'patch /notices/settings': 'contacts:manage',
  'get /notices/{id}': 'integrations:view',
  'post /notices/{id}/retry': 'integrations:edit',
  'get /clients/{client_id}/allowed-networks': 'integrations:view',
  'get /access-keys/{id}/allowed-networks': 'integrations:view',
  'get /policies': 'integrations:view',
  'patch /policies/{name}': 'api_key:manage',
  'get /posture': 'integrations:view',
  'get /search': 'integrations:view',
  'get /audit-events': 'audit:view',
  'get /signing-keys': 'integrations:view',
  'post /signing-keys/rotate': 'api_key:manage',
  'post /signing-keys/{kid}/revoke': 'api_key:manage',
};

/** Routes that every operator may call. */
const forEveryone = [
  'get /me/passkeys',
  'delete /me/passkeys/{passkey_id}',
  'get /approvals',
  'get /approvals/settings',
  'get /approvals/{id}',
  'patch /approvals/{id}',
  'post /approvals/{id}/approve',
  'post /approvals/{id}/refuse',
  'get /operator-tokens',
  'post /operator-tokens',
  'patch /operator-tokens/{id}',
  'get /operator-tokens/{id}/allowed-networks',
  'post /operator-tokens/{id}/rotate',
  'delete /operator-tokens/{id}',
  'get /me',
  'get /me/sessions',
  'delete /me/sessions',
  'delete /me/sessions/{session_id}',
];

let server: AdminServer;
const tokens = new Map<string, string>();

beforeAll(async () => {
  server = await startAdminServer();
  for (const permission of permissions) {
    tokens.set(permission, await server.operatorToken([permission]));
    tokens.set(
      `all but ${permission}`,
      await server.operatorToken(permissions.filter((other) => other !== permission)),
    );
  }
});
afterAll(() => server.close());

/** Sends a request for a resource that does not exist. If it is permitted, its status is neither 401 nor 403. */
async function request(route: string, token: string | null) {
  const [method = '', path = ''] = route.split(' ');
  const real = path.replace('{client_id}', generateClientId()).replace(/\{\w+\}/g, () => crypto.randomUUID());
  return await server.adminFetch(real, { method: method.toUpperCase(), token });
}

test('checks the permission of every route', async () => {
  const { json } = await server.adminFetch('/openapi.json', { token: null });
  const routes = Object.entries(json.paths as Record<string, object>).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method} ${path.replace('/admin/v1', '')}`),
  );
  expect(routes.sort()).toEqual([...Object.keys(table), ...forEveryone].sort());
});

describe.each(Object.entries(table))('%s', (route, needed) => {
  test('responds 401 with the Bearer scheme to a request without a token', async () => {
    const answer = await request(route, null);
    expect(answer.status).toBe(401);
    expect(answer.headers.get('www-authenticate')).toBe('Bearer');
    expect(answer.json).toMatchObject({ status: 401, code: 'unauthenticated' });
  });

  test(`responds 403 to an operator with all permissions except ${needed}`, async () => {
    const answer = await request(route, tokens.get(`all but ${needed}`) ?? '');
    expect(answer.status).toBe(403);
    expect(answer.json).toMatchObject({ status: 403, code: 'forbidden' });
  });

  test.each(permissions)(
    'accepts an operator with only %s exactly if that is the required permission',
    async (permission) => {
      const { status } = await request(route, tokens.get(permission) ?? '');
      if (permission === needed) expect([200, 201, 400, 404, 409, 428]).toContain(status);
      else expect(status).toBe(403);
    },
  );
});

test.each(permissions)('shows an operator with only %s who they are, and rejects strangers', async (permission) => {
  const { json } = await server.adminFetch('/me', { token: tokens.get(permission) ?? '' });
  expect(json).toEqual({
    id: expect.stringMatching(/^[\da-f-]{36}$/),
    name: expect.any(String),
    permissions: [permission],
    organization_id: null,
    issuer: server.core.config.issuer,
  });
  expect((await request('get /me', null)).status).toBe(401);
});

test.each([
  ['an unknown token', `kto_${'0'.repeat(43)}000000`],
  ['an access token', `kta_${'0'.repeat(49)}`],
  ['a string of 5,000 characters', 'x'.repeat(5_000)],
])('rejects %s as an operator token', async (_, token) => {
  expect((await server.adminFetch('/clients', { token })).status).toBe(401);
});

test('rejects two Authorization headers, because it is ambiguous which one counts', async () => {
  const token = await server.operatorToken();
  const line = `Authorization: Bearer ${token}\r\n`;
  const head = `GET /admin/v1/clients HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n`;
  expect((await sendRaw(server.adminUrl, `${head}${line}\r\n`)).text).toMatch(/^HTTP\/1\.1 200 /);
  expect((await sendRaw(server.adminUrl, `${head}${line}${line}\r\n`)).text).toMatch(/^HTTP\/1\.1 401 /);
});

test('applies a withdrawn permission from the next request on', async () => {
  const { id, token } = await server.operator(['integrations:view', 'contacts:manage']);
  expect((await server.adminFetch('/clients', { token })).status).toBe(200);
  const body = { permissions: ['contacts:manage'] };
  expect((await server.adminFetch(`/contacts/${id}`, { method: 'PATCH', body })).status).toBe(200);
  expect((await server.adminFetch('/clients', { token })).status).toBe(403);
});
