import { generateSecret } from '../../src/credentials/credential-format.ts';
import {
  type AccessTokenVerifier,
  createAccessTokenVerifier,
  fetchBearerAuth,
  koaBearerAuth,
  type VerifierOptions,
} from '../../src/resource-server/resource-server.ts';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { eventuallyIs } from '../eventually.ts';
import { endpointsOf, ordersResource, registerAll } from '../oauth/fixture.ts';
import { watchStreams } from './watch-streams.ts';

let server: AdminServer;
let clients: Awaited<ReturnType<typeof registerAll>>;
let contactId: string;
let made = 0;
const open: AccessTokenVerifier[] = [];
const streams = watchStreams();

beforeAll(async () => {
  server = await startAdminServer({ env: { KEYTURN_STANDALONE_KEYS: 'on' } });
  clients = await registerAll(server.core);
  contactId = (await act('/contacts', { name: 'Ann', email: 'ann@example.com' })).json.id;
});
afterAll(async () => {
  for (const verifier of open) verifier.close();
  await server?.close();
});

const act = (path: string, body: object = {}, method = 'POST') => server.adminFetch(path, { method, body });

async function createKey(options: object = {}) {
  made += 1;
  const body = { name: `Key ${made}`, permissions: { orders: ['read'] }, standalone: true, ...options };
  const answer = await act(`/contacts/${contactId}/access-keys`, body);
  if (answer.status !== 201) throw new Error(answer.text);
  return answer.json as { id: string; access_key: string };
}

function verifierFor(options: Partial<VerifierOptions> = {}) {
  const asked = { introspections: [] as URLSearchParams[] };
  const toServer: typeof fetch = async (input, init) => {
    const { pathname } = new URL(String(input));
    if (pathname === '/oauth2/introspect') asked.introspections.push(new URLSearchParams(String(init?.body)));
    return await fetch(`${server.publicUrl}${pathname}`, init);
  };
  const verifier = createAccessTokenVerifier({
    issuer: 'http://localhost:4000',
    resource: ordersResource,
    clientId: clients.orders.id,
    clientSecret: clients.orders.secret,
    standaloneKeys: true,
    events: false,
    ...options,
    fetch: options.events ? streams.watch(toServer) : toServer,
  });
  open.push(verifier);
  return { verifier, asked: asked.introspections };
}

const bearer = (value: string, more: Record<string, string> = {}) => ({
  headers: { authorization: `Bearer ${value}`, ...more },
});
const apiKey = (value: string) => ({ headers: { 'x-api-key': value } });
const refusalOf = (verifying: Promise<unknown>) => verifying.catch((error: unknown) => error);

test('a stand-alone access key is accepted as a bearer token and in X-API-Key', async () => {
  const key = await createKey();
  const { verifier } = verifierFor();
  for (const request of [bearer(key.access_key), apiKey(key.access_key)]) {
    expect(await verifier.verify(request, { scope: 'orders:read' })).toMatchObject({
      clientId: undefined,
      subject: contactId,
      contactId,
      accessKeyId: key.id,
      scope: ['orders:read'],
      expiresAt: Number.POSITIVE_INFINITY,
    });
  }
  expect(await refusalOf(verifier.verify(apiKey(key.access_key), { scope: 'orders:create' }))).toMatchObject({
    status: 403,
  });
});

test('an access key is refused without a question unless stand-alone keys are accepted', async () => {
  const key = await createKey();
  const { verifier, asked } = verifierFor({ standaloneKeys: false });
  expect(await refusalOf(verifier.verify(bearer(key.access_key)))).toMatchObject({ code: 'invalid_token' });
  expect(await refusalOf(verifier.verify(apiKey(key.access_key)))).toMatchObject({ code: 'missing_token' });
  expect(asked).toEqual([]);
});

test('a value in X-API-Key that is no access key is refused without a question', async () => {
  const { verifier, asked } = verifierFor();
  for (const value of [generateSecret('kta_'), 'secret', 'ktk_x', `${generateSecret('ktk_')}, x`]) {
    expect(await refusalOf(verifier.verify(apiKey(value)))).toMatchObject({ code: 'invalid_token', status: 401 });
  }
  expect(asked).toEqual([]);
  expect(await refusalOf(verifier.verify(apiKey(generateSecret('ktk_'))))).toMatchObject({ code: 'invalid_token' });
  expect(asked).toHaveLength(1);
});

test('a bearer token decides if a request has both headers', async () => {
  const key = await createKey();
  const token = await endpointsOf(server.publicUrl).accessToken(clients.shop);
  const found = await verifierFor().verifier.verify(bearer(token, { 'x-api-key': key.access_key }));
  expect(found).toMatchObject({ clientId: clients.shop.id, accessKeyId: undefined });
});

test('an answer for a key is cached, and dropped as soon as the key changes', async () => {
  const key = await createKey();
  const { verifier, asked } = verifierFor({ events: true });
  await streams.followed();
  const verify = () => verifier.verify(bearer(key.access_key));
  await verify();
  await verify();
  expect(asked).toHaveLength(1);
  await act(`/access-keys/${key.id}/disable`);
  const refusal = await eventuallyIs(
    () => refusalOf(verify()),
    (found) => found instanceof Error,
  );
  expect(refusal).toMatchObject({ code: 'invalid_token' });
});

test('the address of the connection, or the one that the API names, is reported for keys and decides', async () => {
  const key = await createKey({ allowed_networks: ['203.0.113.0/24'] });
  const from = (remoteAddress: string) => ({ ...bearer(key.access_key), socket: { remoteAddress } });
  const { verifier, asked } = verifierFor();
  expect(await verifier.verify(from('203.0.113.7'))).toMatchObject({ accessKeyId: key.id });
  expect(await refusalOf(verifier.verify(from('198.51.100.7')))).toMatchObject({ code: 'invalid_token' });
  expect(await refusalOf(verifier.verify(bearer(key.access_key)))).toMatchObject({ code: 'invalid_token' });
  expect(asked.map((form) => form.get('client_address'))).toEqual(['203.0.113.7', '198.51.100.7', null]);
  const behindProxy = verifierFor({ clientAddress: (request) => request.header('x-real-ip') }).verifier;
  const request = bearer(key.access_key, { 'x-real-ip': '203.0.113.8' });
  expect(await behindProxy.verify({ ...request, socket: { remoteAddress: '10.0.0.1' } })).toMatchObject({
    accessKeyId: key.id,
  });
});

test('the limit of a key is counted for each request, told in headers, and answered with 429 beyond it', async () => {
  const key = await createKey({ requests_per_minute: 2 });
  const { verifier } = verifierFor();
  const call = async () => {
    const answer = await fetchBearerAuth(verifier, new Request(ordersResource, apiKey(key.access_key)));
    return answer instanceof Response ? answer : undefined;
  };
  const ctx = {
    req: bearer(key.access_key),
    originalUrl: '/',
    state: {},
    status: 404,
    body: undefined,
    sent: {} as Record<string, string>,
    set(headers: Record<string, string>) {
      Object.assign(this.sent, headers);
    },
  };
  await koaBearerAuth(verifier)(ctx, async () => undefined);
  expect(ctx.sent).toEqual({
    'RateLimit-Limit': '2',
    'RateLimit-Remaining': '1',
    'RateLimit-Reset': expect.stringMatching(/^\d+$/),
  });
  const all = await Promise.all([call(), call(), call()]);
  const refused = all.filter((answer) => answer !== undefined);
  expect(refused).toHaveLength(2);
  for (const answer of refused) {
    expect(answer?.status).toBe(429);
    expect(answer?.headers.get('RateLimit-Remaining')).toBe('0');
    expect(Number(answer?.headers.get('Retry-After'))).toBeGreaterThan(0);
  }
});

test('a program with a retiring key is told so by the API', async () => {
  const key = await createKey();
  const { verifier } = verifierFor();
  const { confirmation } = (await act(`/access-keys/${key.id}/regeneration/review`)).json;
  await act(`/access-keys/${key.id}/regenerate`, { confirmation });
  const { retirement } = await verifier.verify(bearer(key.access_key));
  const headers: Record<string, string> = {};
  const ctx = { req: bearer(key.access_key), originalUrl: '/', state: {}, status: 404, body: undefined };
  await koaBearerAuth(verifier)({ ...ctx, set: (more) => void Object.assign(headers, more) }, async () => undefined);
  const until = new Date((retirement?.until ?? 0) * 1_000);
  expect(headers).toEqual({ Deprecation: expect.stringMatching(/^@\d+$/), Sunset: until.toUTCString() });
});

test('the library reports which scopes of a key were used', async () => {
  const key = await createKey({ permissions: { orders: ['read', 'create'] } });
  const { verifier } = verifierFor();
  await verifier.verify(bearer(key.access_key), { scope: 'orders:read' });
  const { json } = await eventuallyIs(
    () => server.adminFetch(`/access-keys/${key.id}`),
    ({ json: shown }) => shown.usage.used > 0,
  );
  expect(json.usage.used_scope).toEqual(['orders:read']);
});
