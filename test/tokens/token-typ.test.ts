import { decodeProtectedHeader } from 'jose';
import { privateClaims } from '../../src/tokens/jwt-access-token.ts';
import { signJwt } from '../../src/tokens/signing-keys.ts';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { makeAssertion, makePair, postAssertion, registerKeyClient } from '../oauth/assertion.ts';
import { endpointsOf, inactive, register, type TestClient } from '../oauth/fixture.ts';

const issuer = 'http://localhost:4000';
const resource = 'https://reports.example';

let server: AdminServer;
let endpoints: ReturnType<typeof endpointsOf>;
let reports: TestClient;
let analyst: TestClient;

beforeAll(async () => {
  server = await startAdminServer();
  endpoints = endpointsOf(server.publicUrl);
  const body = { name: 'Reports API', kind: 'resource_server', resource, information: ['reports'] };
  const { json } = await server.adminFetch('/clients', {
    method: 'POST',
    body: { ...body, token_format: 'jwt', token_typ: 'JWT' },
  });
  expect(json).toMatchObject({ token_format: 'jwt', token_typ: 'JWT' });
  reports = { id: json.client_id, secret: json.client_secret };
  analyst = await register(server.core, { name: 'Analyst', kind: 'integration', scope: 'reports:read' });
});

afterAll(() => server.close());

const patch = (body: object) => server.adminFetch(`/clients/${reports.id}`, { method: 'PATCH', body });
const isActive = async (token: string) => (await endpoints.introspect(reports, token)).json['active'];

test('a change of token_typ applies to new tokens, and earlier ones stay valid', async () => {
  const plain = await endpoints.accessToken(analyst);
  expect(decodeProtectedHeader(plain).typ).toBe('JWT');
  expect((await patch({ token_typ: 'at+jwt' })).json).toMatchObject({ token_typ: 'at+jwt' });
  const standard = await endpoints.accessToken(analyst);
  expect(decodeProtectedHeader(standard).typ).toBe('at+jwt');
  expect(await Promise.all([plain, standard].map(isActive))).toEqual([true, true]);
  expect((await endpoints.revoke(analyst, plain)).status).toBe(200);
  expect(await Promise.all([plain, standard].map(isActive))).toEqual([false, true]);
  expect((await patch({ token_typ: 'JWT' })).status).toBe(200);
  expect(decodeProtectedHeader(await endpoints.accessToken(analyst)).typ).toBe('JWT');
  const [event] = (await server.adminFetch(`/audit-events?target=${reports.id}&limit=1`)).json.data;
  expect(event).toMatchObject({ before: { token_typ: 'at+jwt' }, after: { token_typ: 'JWT' } });
});

test('a change of another field keeps token_typ', async () => {
  expect((await patch({ name: 'Reports' })).json).toMatchObject({ name: 'Reports', token_typ: 'JWT' });
});

test('token_typ is null for opaque tokens, and at+jwt unless something else is asked for', async () => {
  const { json: opaque } = await server.adminFetch('/clients', {
    method: 'POST',
    body: { name: 'Things', kind: 'resource_server', resource: 'https://things.example' },
  });
  expect(opaque.token_typ).toBeNull();
  const change = (body: object) => server.adminFetch(`/clients/${opaque.client_id}`, { method: 'PATCH', body });
  expect((await change({ token_typ: 'JWT' })).status).toBe(400);
  expect((await change({ token_format: 'jwt' })).json.token_typ).toBe('at+jwt');
  expect((await change({ token_typ: 'JWT' })).json.token_typ).toBe('JWT');
  expect((await change({ token_format: 'opaque' })).json.token_typ).toBeNull();
  expect((await change({ token_format: 'jwt' })).json.token_typ).toBe('at+jwt');
});

test.each([
  ['an opaque token format', { kind: 'resource_server', resource: 'https://x.example', token_format: 'opaque' }],
  ['the default token format', { kind: 'resource_server', resource: 'https://x.example' }],
  ['an integration', { kind: 'integration' }],
])('token_typ with %s is refused', async (_case, fields) => {
  const body = { name: 'X', token_typ: 'JWT', ...fields };
  const { status, text } = await server.adminFetch('/clients', { method: 'POST', body });
  expect([status, text]).toEqual([400, expect.stringContaining('token_typ')]);
});

test.each(['jwt', 'token-introspection+jwt', '', null])('token_typ %j is refused', async (typ) => {
  expect((await patch({ token_typ: typ })).status).toBe(400);
});

test('introspection accepts typ JWT only with the claims of an access token', async () => {
  const key = await server.core.signingKeys.current();
  const [, payload = ''] = (await endpoints.accessToken(analyst)).split('.');
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as object;
  expect(await isActive(signJwt(key, 'JWT', claims))).toBe(true);
  for (const name of ['iss', 'aud', 'iat', 'exp', 'client_id', 'jti', 'scope', privateClaims]) {
    const { text } = await endpoints.introspect(reports, signJwt(key, 'JWT', { ...claims, [name]: undefined }));
    expect([name, text]).toEqual([name, inactive]);
  }
  for (const typ of ['token-introspection+jwt', 'dpop+jwt', 'client-authentication+jwt', '']) {
    expect((await endpoints.introspect(reports, signJwt(key, typ, claims))).text).toBe(inactive);
  }
});

test('an access token with typ JWT is not an assertion, and an assertion with typ JWT is not an access token', async () => {
  const pair = await makePair();
  const id = await registerKeyClient(server.core, { jwks: { keys: [pair.publicJwk] } }, { scope: 'reports:read' });
  const assertion = await makeAssertion(pair, id, issuer, { header: { typ: 'JWT' } });
  expect((await endpoints.introspect(reports, assertion)).text).toBe(inactive);
  const { json } = await postAssertion(endpoints.tokenUrl, assertion);
  const token = String(json['access_token']);
  expect([decodeProtectedHeader(token).typ, await isActive(token)]).toEqual(['JWT', true]);
  for (const form of [{}, { client_id: id }]) {
    const answer = await postAssertion(endpoints.tokenUrl, token, form);
    expect(answer).toMatchObject({ status: 401, json: { error: 'invalid_client' } });
  }
});
