import { once } from 'node:events';
import { get } from 'node:http';
import { z } from 'zod';
import { publicRoutes } from '../../src/http/public-routes.ts';
import { endpointsOf, registerAll, type TestClient } from '../oauth/fixture.ts';
import { basicOf, send } from '../oauth/http-client.ts';
import { type AdminServer, startAdminServer } from './admin-server.ts';

type Content = Record<string, { schema: object; example?: unknown }>;
type Operation = {
  operationId: string;
  summary: string;
  parameters?: { name: string; description?: string }[];
  requestBody?: {
    content: Record<string, { schema: { properties: Record<string, { description?: string }> }; example?: unknown }>;
  };
  responses: Record<string, { content: Content }>;
};

let server: AdminServer;
let clients: Awaited<ReturnType<typeof registerAll>>;
let document: {
  openapi: string;
  servers: object[];
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, object> };
};

beforeAll(async () => {
  server = await startAdminServer({ env: { KEYTURN_FAILURES_PER_MINUTE: '0' } });
  clients = await registerAll(server.core);
  document = (await server.adminFetch('/public-openapi.json', { token: null })).json;
});
afterAll(() => server?.close());

const operations = () =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );

/** Returns a Zod schema of a schema of the document. */
const schemaOf = (schema: object) =>
  z.fromJSONSchema(
    JSON.parse(
      JSON.stringify({ ...schema, $defs: document.components.schemas }).replaceAll('#/components/schemas/', '#/$defs/'),
    ),
  );

/** Sends a request to the public listener, and checks that the document has the answer. */
async function ask(method: string, path: string, client?: TestClient, form?: Record<string, string>, headers = {}) {
  const answer = await send(`${server.publicUrl}${path}`, {
    method,
    headers: {
      ...(client ? { Authorization: basicOf(client.id, client.secret) } : {}),
      ...(form ? { 'Content-Type': 'application/x-www-form-urlencoded' } : {}),
      ...headers,
    },
    ...(form ? { body: new URLSearchParams(form).toString() } : {}),
  });
  const described = document.paths[path]?.[method.toLowerCase()]?.responses[answer.status];
  const type = (answer.headers['content-type'] ?? '').replace(/;.*/, '');
  const { schema } = described?.content[type] ?? {};
  if (!schema) throw new Error(`${method} ${path} answered ${answer.status} ${type}, which is not described`);
  const { error } = schemaOf(schema).safeParse(type === 'application/json' ? answer.json : answer.text);
  expect([method, path, answer.text, error?.message]).toEqual([method, path, answer.text, undefined]);
  return answer.status;
}

const wrong = (client: TestClient) => ({ ...client, secret: `${client.secret}x` });

test('describes every path and method of the public listener, and no other', () => {
  expect(document.openapi).toBe('3.1.0');
  expect(document.servers).toEqual([{ url: server.core.issuer, description: expect.any(String) }]);
  const served = Object.entries(publicRoutes).flatMap(([path, methods]) =>
    methods.split(', ').flatMap((method) => (method === 'HEAD' ? [] : `${method} ${path}`)),
  );
  expect(operations().map(({ path, method }) => `${method.toUpperCase()} ${path}`)).toEqual(served);
  const ids = operations().map(({ operation }) => operation.operationId);
  expect(new Set(ids).size).toBe(ids.length);
});

test('describes every parameter of the public endpoints, and has an example of every body that its schema accepts', () => {
  for (const { operation } of operations()) {
    for (const { name, description } of operation.parameters ?? [])
      expect([name, description]).toEqual([name, expect.any(String)]);
    for (const { schema } of Object.values(operation.requestBody?.content ?? {})) {
      for (const [name, { description }] of Object.entries(schema.properties)) {
        expect([name, description]).toEqual([name, expect.any(String)]);
      }
    }
    for (const [status, { content }] of Object.entries(operation.responses)) {
      for (const { schema, example } of Object.values(content)) {
        const what = [operation.operationId, status];
        expect([...what, schemaOf(schema).safeParse(example).error?.message]).toEqual([...what, undefined]);
      }
    }
    for (const { example } of Object.values(operation.requestBody?.content ?? {})) {
      expect([operation.operationId, typeof example]).toEqual([operation.operationId, 'object']);
    }
  }
});

test('answers token, introspection, revocation and whoami requests as the document of the public listener says', async () => {
  const { shop, orders } = clients;
  const grant = { grant_type: 'client_credentials' };
  const token = await endpointsOf(server.publicUrl).accessToken(shop);
  const jwt = { Accept: 'application/token-introspection+jwt' };
  expect([
    await ask('POST', '/oauth2/token', shop, grant),
    await ask('POST', '/oauth2/token', shop, { ...grant, scope: 'orders:fly' }),
    await ask('POST', '/oauth2/token', wrong(shop), grant),
    await ask('POST', '/oauth2/token', shop, undefined, { 'Content-Type': 'application/json' }),
    await ask('POST', '/oauth2/token', shop, { ...grant, scope: 'x'.repeat(17_000) }),
    await ask('POST', '/oauth2/token', shop, grant, { Host: 'elsewhere.example' }),
    await ask('POST', '/oauth2/introspect', orders, { token }),
    await ask('POST', '/oauth2/introspect', orders, { token: 'unknown' }),
    await ask('POST', '/oauth2/introspect', orders, { token }, jwt),
    await ask('POST', '/oauth2/introspect', wrong(orders), { token }),
    await ask('POST', '/oauth2/whoami', shop, {}),
    await ask('GET', '/oauth2/whoami', shop),
    await ask('GET', '/oauth2/whoami', orders),
    await ask('GET', '/oauth2/whoami'),
    await ask('POST', '/oauth2/revoke', shop, { token }),
    await ask('POST', '/oauth2/revoke', shop, {}),
  ]).toEqual([200, 400, 401, 415, 413, 421, 200, 200, 200, 401, 200, 200, 200, 401, 200, 400]);
});

test('answers rotations of a client by itself as the document of the public listener says', async () => {
  const { json: made } = await server.adminFetch('/clients', {
    method: 'POST',
    body: { name: 'Rotates itself', kind: 'integration', self_rotation: true },
  });
  const client = { id: made.client_id, secret: made.client_secret };
  const key = { 'Idempotency-Key': 'c0a8013e-5f8e-4a1b-9f63-2b7d1e9a0c55' };
  const rotate = (one: TestClient | undefined, form: Record<string, string> = {}, headers = {}) =>
    ask('POST', '/oauth2/credentials/rotate', one, form, headers);
  expect([
    await rotate(undefined, {}, key),
    await rotate(wrong(client), {}, key),
    await rotate(clients.bare, {}, key),
    await rotate(client),
    await rotate(client, { overlap_seconds: '60' }, key),
    await rotate(client, {}, key),
    await rotate(client, {}, key),
    await rotate(client, { overlap_seconds: '7200' }, key),
  ]).toEqual([401, 401, 400, 400, 400, 200, 200, 422]);
});

test('answers requests for metadata, keys and health as the document of the public listener says', async () => {
  for (const path of ['oauth-authorization-server', 'openid-configuration', 'jwks.json']) {
    expect(await ask('GET', `/.well-known/${path}`)).toBe(200);
    expect(await ask('GET', `/.well-known/${path}`, undefined, undefined, { Host: 'elsewhere.example' })).toBe(421);
  }
  expect(await ask('GET', '/healthz')).toBe(200);
  expect([200, 503]).toContain(await ask('GET', '/readyz'));
});

test('streams events to resource servers, and rejects others, as the document of the public listener says', async () => {
  expect(await ask('GET', '/oauth2/events', clients.shop)).toBe(403);
  expect(await ask('GET', '/oauth2/events')).toBe(401);
  const { id, secret } = clients.orders;
  const request = get(`${server.publicUrl}/oauth2/events`, {
    headers: { Authorization: basicOf(id, secret) },
    agent: false,
  });
  const [response] = await once(request, 'response');
  request.on('error', () => undefined);
  request.destroy();
  const described = document.paths['/oauth2/events']?.['get']?.responses[200]?.content ?? {};
  expect([response.statusCode, response.headers['content-type']]).toEqual([200, Object.keys(described)[0]]);
});
