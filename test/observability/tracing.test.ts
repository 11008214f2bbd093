import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { eventually } from '../eventually.ts';
import { type ChildServer, startChildServer } from '../faults/child-server.ts';
import { createTestStores, startTestServer, type TestServer } from '../harness.ts';
import { endpointsOf, registerAll } from '../oauth/fixture.ts';

type Span = {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  attributes: { key: string; value: { stringValue?: string; intValue?: number } }[];
};

/** An OTLP/HTTP JSON collector that keeps what it receives. */
async function startCollector() {
  const received: { path: string; headers: Record<string, unknown>; body: string }[] = [];
  const http = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      received.push({ path: request.url ?? '', headers: request.headers, body });
      response.writeHead(200, { 'Content-Type': 'application/json' }).end('{}');
    });
  });
  await once(http.listen(0, '127.0.0.1'), 'listening');
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    received,
    spans: (): Span[] =>
      received.flatMap(({ body }) =>
        JSON.parse(body).resourceSpans.flatMap(({ scopeSpans }: { scopeSpans: { spans: Span[] }[] }) =>
          scopeSpans.flatMap(({ spans }) => spans),
        ),
      ),
    close: () => {
      http.closeAllConnections();
      http.close();
    },
  };
}

let collector: Awaited<ReturnType<typeof startCollector>>;
let home: TestServer;
let clients: Awaited<ReturnType<typeof registerAll>>;
let child: ChildServer;

beforeAll(async () => {
  collector = await startCollector();
  home = await startTestServer({ stores: await createTestStores() });
  clients = await registerAll(home.core);
  child = await startChildServer(home.stores, {
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_EXPORTER_OTLP_HEADERS: 'x-tenant=ours',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
    OTEL_BSP_SCHEDULE_DELAY: '100',
    KEYTURN_TRUST_PROXY: '127.0.0.2',
  });
});

afterAll(async () => {
  await child?.terminate();
  await home?.close();
  collector?.close();
});

const traceId = '0af7651916cd43dd8448eb211c80319c';
const headers = { traceparent: `00-${traceId}-b7ad6b7169203331-01` };
const presented: string[] = [];

it('records a request as a span, with its statements and commands as children, and continues the trace of a trusted caller', async () => {
  const api = endpointsOf(child.publicUrl);
  const from = '127.0.0.2';
  for (let round = 0; round < 2; round++) {
    const answer = await api.token(clients.shop, {}, { from, headers });
    const token = answer.json['access_token'] as string;
    presented.push(token);
    expect((await api.introspect(clients.orders, token, {}, { from, headers })).json).toMatchObject({ active: true });
    expect((await api.revoke(clients.shop, token, { from, headers } as never)).status).toBe(200);
  }
  await api.token(clients.shop, { scope: clients.shop.secret }, { from, headers });
  const named = (name: string) => collector.spans().filter((span) => span.name === name && span.traceId === traceId);
  await eventually(() => named('POST /oauth2/token').length === 3 && named('SET').length >= 2);
  const request = named('POST /oauth2/token')[0];
  expect(request?.parentSpanId).toBe('b7ad6b7169203331');
  const parents = new Set(named('POST /oauth2/token').map(({ spanId }) => spanId));
  for (const { parentSpanId } of named('SET')) expect(parents).toContain(parentSpanId);
  expect(collector.spans().some(({ name }) => /^SELECT \w+$/.test(name))).toBe(true);
  expect(named('POST /oauth2/introspect').length).toBe(2);
});

it('does not continue the trace of an untrusted caller', async () => {
  const other = '1af7651916cd43dd8448eb211c80319c';
  const traceparent = `00-${other}-b7ad6b7169203331-01`;
  const before = collector.spans().filter(({ name }) => name === 'POST /oauth2/token').length;
  const api = endpointsOf(child.publicUrl);
  expect((await api.token(clients.shop, {}, { headers: { traceparent } })).status).toBe(200);
  await eventually(() => collector.spans().filter(({ name }) => name === 'POST /oauth2/token').length > before);
  expect(collector.spans().some((span) => span.traceId === other)).toBe(false);
});

it('writes the trace ID into the log line of the request', () => {
  const lines = child.lines.filter((line) => line.includes(`"trace_id":"${traceId}"`));
  expect(lines.length).toBeGreaterThan(0);
});

it('respects the environment variables of OpenTelemetry', () => {
  const [first] = collector.received;
  expect(first).toMatchObject({ path: '/v1/traces', headers: { 'x-tenant': 'ours' } });
  expect(first?.body).toContain('{"key":"service.name","value":{"stringValue":"keyturn"}}');
  expect(first?.body).toContain('{"key":"deployment.environment.name","value":{"stringValue":"test"}}');
});

it('writes no secret, token or Client ID into a span', () => {
  const text = collector.received.map(({ body }) => body).join('\n');
  expect(text).not.toMatch(/kt[iskao]_/);
  for (const value of [...presented, clients.shop.secret, clients.shop.id]) expect(text).not.toContain(value);
});

it('loads no module of OpenTelemetry without a configured endpoint', async () => {
  const trace = { NODE_DEBUG: 'esm' };
  const plain = await startChildServer(home.stores, trace);
  await plain.terminate();
  expect(plain.lines.join('\n')).toMatch(/node_modules\/koa\//);
  expect(plain.lines.join('\n')).not.toMatch(/@opentelemetry/);
});

describe('X-Request-Id', () => {
  const ask = async (from: string, id: string) => {
    const answer = await endpointsOf(child.publicUrl).token(
      clients.shop,
      {},
      { from, headers: { 'X-Request-Id': id } },
    );
    return answer.headers['x-request-id'];
  };

  it('of a trusted proxy is returned and logged', async () => {
    expect(await ask('127.0.0.2', 'edge-7/abc')).toBe('edge-7/abc');
    await eventually(() => child.lines.some((line) => line.includes('"id":"edge-7/abc"')));
  });

  it('of an untrusted caller, or with characters that would need escaping in a log, is replaced', async () => {
    expect(await ask('127.0.0.1', 'edge-8')).toMatch(/^[0-9a-f-]{36}$/);
    expect(await ask('127.0.0.2', '"},{"a":"b')).toMatch(/^[0-9a-f-]{36}$/);
    expect(await ask('127.0.0.2', clients.shop.secret)).toMatch(/^[0-9a-f-]{36}$/);
  });
});
