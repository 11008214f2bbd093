import type { z } from 'zod';
import { adminEndpoints } from '../../src/admin/endpoints.ts';
import { problemSchemaOf } from '../../src/admin/openapi.ts';
import { type AdminServer, startAdminServer } from './admin-server.ts';

type Operation = {
  operationId: string;
  tags: string[];
  parameters?: { in: string; name: string; required?: boolean; schema: object }[];
  requestBody?: { content: Record<string, { example?: unknown }> };
  responses: Record<string, { content?: Record<string, { schema: object; example?: unknown }> }>;
};

let server: AdminServer;
// biome-ignore lint/suspicious/noExplicitAny: the tests inspect arbitrary parts of the document.
let document: any;

beforeAll(async () => {
  server = await startAdminServer();
  document = (await server.adminFetch('/openapi.json', { token: null })).json;
});
afterAll(() => server.close());

const operations = () =>
  Object.entries(document.paths as Record<string, Record<string, Operation>>).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );

test('serves an OpenAPI 3.1 document with resolvable references and unique operation ids', () => {
  expect(document.openapi).toBe('3.1.0');
  expect(document.info).toMatchObject({ title: expect.any(String), version: expect.any(String) });
  const references = JSON.stringify(document).match(/#\/[^"]+/g) ?? [];
  expect(references.length).toBeGreaterThan(0);
  for (const reference of references) {
    const found = reference
      .slice(2)
      .split('/')
      .reduce((at, name) => at?.[name], document);
    expect([reference, typeof found]).toEqual([reference, 'object']);
  }
  const names = operations().map(({ operation }) => operation.operationId);
  expect(new Set(names).size).toBe(names.length);
});

test('documents the parameters, success and errors of every operation', () => {
  for (const { path, method, operation } of operations()) {
    const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    const told = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path');
    expect([path, told.map(({ name, required }) => [name, required])]).toEqual([
      path,
      inPath.map((name) => [name, true]),
    ]);
    const statuses = Object.keys(operation.responses);
    expect(statuses.filter((status) => status.startsWith('2'))).toHaveLength(1);
    expect(statuses).toEqual(expect.arrayContaining(['400', '401', '403', '503']));
    if (method !== 'get') expect(statuses).toEqual(expect.arrayContaining(['413', '415']));
  }
});

test('documents required members, limits, headers, and that other members are rejected', () => {
  const { schema } = document.paths['/admin/v1/clients'].post.requestBody.content['application/json'];
  expect(schema).toMatchObject({ required: ['name', 'kind'], additionalProperties: false });
  const { parameters } = document.paths['/admin/v1/clients'].get;
  const limit = parameters.find(({ name }: { name: string }) => name === 'limit');
  expect(limit).toMatchObject({ in: 'query', schema: { type: 'integer', minimum: 1, maximum: 200 } });
  const names = (path: string, method: string) =>
    document.paths[`/admin/v1${path}`][method].parameters.map(({ name }: { name: string }) => name);
  expect(names('/clients', 'post')).toContain('Idempotency-Key');
  expect(names('/clients/{client_id}', 'patch')).toContain('If-Match');
});

test('describes every parameter, and every property of every body', () => {
  type Schema = { $ref?: string; description?: string; properties?: Record<string, Schema> };
  const resolve = (schema: Schema): Schema =>
    schema.$ref === undefined ? schema : document.components.schemas[schema.$ref.split('/').at(-1) ?? ''];
  const found: string[] = [];
  const search = (value: unknown, path: string): void => {
    if (typeof value !== 'object' || value === null) return;
    for (const [name, property] of Object.entries((value as Schema).properties ?? {})) {
      if (!(property.description ?? resolve(property).description)) found.push(`${path}.${name}`);
    }
    const { in: place, name, description } = value as { in?: string; name?: string; description?: string };
    if (place !== undefined && !description) found.push(`${path} ${place} ${name}`);
    for (const [key, member] of Object.entries(value)) search(member, `${path}/${key}`);
  };
  search(document.paths, '');
  search(document.components.schemas, '');
  expect(found).toEqual([]);
});

test('names the server and describes the tag of every operation, and no tag without operations', () => {
  expect(document.servers).toEqual([{ url: '/', description: expect.any(String) }]);
  const used = operations().map(({ path, operation }) => [path.split('/')[3], operation.tags]);
  expect(used.filter(([first, tags]) => tags?.length !== 1 || tags[0] !== first)).toEqual([]);
  const tags = document.tags as { name: string; description: string }[];
  expect(tags.map(({ name }) => name).sort()).toEqual([...new Set(used.map(([first]) => first))].sort());
  expect(tags.filter(({ description }) => !/^\w.*\.$/.test(description))).toEqual([]);
});

/** Verbs that operation ids begin with. */
const verbs =
  /^(acknowledge|apply|approve|create|delete|disable|end|enable|erase|explain|export|extend|find|finish|get|handOver|import|issue|list|mark|plan|refuse|rehearse|replay|resend|reveal|retry|review|revoke|rotate|search|test|undo|update|withdraw)([A-Z]|$)/;

test('gives every operation an id of a verb and a noun, which is what generated clients call it', () => {
  const ids = operations().map(({ operation }) => operation.operationId);
  expect(ids.filter((id) => !verbs.test(id) || !/^[a-z][A-Za-z]+$/.test(id))).toEqual([]);
  expect(ids).toEqual(
    expect.arrayContaining(['createClient', 'rotateClientSecret', 'undoClientRotation', 'rotateAccessKey', 'getMe']),
  );
});

test('has no two models of one name, also as generators name them, and none with the name of a part of generated clients', () => {
  const schemas = Object.entries(
    document.components.schemas as Record<string, { properties?: Record<string, object> }>,
  );
  // Generators name an inline object after its model and member.
  const inline = schemas.flatMap(([name, { properties = {} }]) =>
    Object.entries(properties)
      .filter(([, member]) => 'properties' in member)
      .map(([member]) => `${name}${member.replaceAll('_', '')}`),
  );
  const names = [...schemas.map(([name]) => name), ...inline].map((name) => name.toLowerCase());
  expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  expect(names.filter((name) => ['client', 'authenticatedclient', 'response', 'request'].includes(name))).toEqual([]);
});

test('has an example of every body that the server itself accepts or declares, with the status of each error', () => {
  const wrong: unknown[] = [];
  const check = (what: string, schema: z.ZodType, example: unknown) => {
    const { error } = schema.safeParse(example);
    if (error) wrong.push([what, error.message]);
  };
  for (const { method, path, operationId, body, answers } of adminEndpoints(server.core)) {
    const { requestBody, responses } = document.paths[`/admin/v1${path}`][method] as Operation;
    if (body) check(`${operationId} body`, body, requestBody?.content['application/json']?.example);
    for (const [status, { content = {} }] of Object.entries(responses)) {
      const declared = answers[Number(status)];
      if (declared) check(`${operationId} ${status}`, declared, content['application/json']?.example);
      // Node.js answers 431 without a body.
      if (status < '400' || status === '431') continue;
      const problem = content['application/problem+json']?.example;
      check(`${operationId} ${status}`, problemSchemaOf(Number(status)), problem);
      expect(problem).toMatchObject({ status: Number(status), code: expect.stringMatching(/^[a-z_]+$/) });
    }
  }
  expect(wrong).toEqual([]);
});

test('gives a value that can be null two types, and no variant that is nothing but null, which generators do not read', () => {
  expect(JSON.stringify(document)).not.toContain('{"type":"null"}');
  const { retires_at: at, token_format: format } = document.components.schemas.RegisteredClient.properties;
  expect(at.type).toEqual(['string', 'null']);
  expect(format.enum).toEqual(expect.arrayContaining(['jwt', null]));
});
