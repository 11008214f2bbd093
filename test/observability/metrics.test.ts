import { readFileSync } from 'node:fs';
import { createMetrics, presentMetrics } from '../../src/observability/metrics.ts';
import { runCommand, startCommand } from '../cli/run-command.ts';
import { eventually } from '../eventually.ts';
import { createTestStores, startTestServer, type TestServer } from '../harness.ts';

type Client = { client_id: string; client_secret: string };
type Sample = { name: string; labels: Record<string, string>; value: number };

/** A receiver of the audit log, which cannot be reached. */
const streams = JSON.stringify([{ name: 'siem', url: 'otlp+http://127.0.0.1:9' }]);
let server: TestServer;
let operator: string;

async function scrape(adminUrl = server.adminUrl): Promise<{ text: string; samples: Sample[] }> {
  const response = await fetch(`${adminUrl}/metrics`);
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
  const text = await response.text();
  const samples = [...text.matchAll(/^(\w+)(?:\{(.*)\})? (\S+)$/gm)].map(([, name = '', labels = '', value]) => ({
    name,
    labels: Object.fromEntries([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, text]) => [key, text])),
    value: Number(value),
  }));
  return { text, samples };
}

async function read(name: string, labels: Record<string, string> = {}, adminUrl = server.adminUrl): Promise<number> {
  const { samples } = await scrape(adminUrl);
  const matching = samples.filter(
    (sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
  );
  return matching.reduce((sum, { value }) => sum + value, 0);
}

async function manage<Body = Client>(path: string, body: object, method = 'POST'): Promise<Body> {
  const headers = { Authorization: `Bearer ${operator}`, 'Content-Type': 'application/json' };
  const response = await fetch(`${server.adminUrl}/admin/v1${path}`, { method, headers, body: JSON.stringify(body) });
  return (await response.json()) as Body;
}

async function post(path: string, client: Client, form: Record<string, string>, url = server.publicUrl) {
  const Authorization = `Basic ${Buffer.from(`${client.client_id}:${client.client_secret}`).toString('base64')}`;
  const response = await fetch(`${url}/oauth2/${path}`, {
    method: 'POST',
    headers: { Authorization },
    body: new URLSearchParams(form),
  });
  return (await response.json()) as { access_token: string; active: boolean };
}

const grant = { grant_type: 'client_credentials' };

beforeAll(async () => {
  server = await startTestServer({ env: { KEYTURN_AUDIT_STREAMS: streams } });
  const create = ['contacts', 'create', '--name', 'Ann', '--email', 'ann@example.com', '--permission', 'all'];
  const { databaseUrl, rootKey } = server.stores;
  const environment = { DATABASE_URL: databaseUrl, KEYTURN_ROOT_KEY: rootKey };
  operator = (await runCommand([...create, '--operator-token'], environment)).stdout.trim();
});

afterAll(async () => {
  await server.close();
});

test.each([{ KEYTURN_FAST_PATH: 'on' }, { KEYTURN_FAST_PATH: 'off' }])(
  'counts tokens, introspections and rejections on both paths: %o',
  async (env) => {
    const own = await startTestServer({ stores: server.stores, env });
    try {
      const name = `Counted ${env.KEYTURN_FAST_PATH}`;
      const resource = `https://${env.KEYTURN_FAST_PATH}.example.com`;
      const shop = await manage('/clients', { name, kind: 'resource_server', resource, information: ['orders'] });
      const client = await manage('/clients', { name, kind: 'integration', scope: 'orders:read' });
      const count = (metric: string, labels?: Record<string, string>) => read(metric, labels, own.adminUrl);
      const tokens: string[] = [];
      for (let round = 0; round < 3; round++) {
        tokens.push((await post('token', client, { ...grant, resource }, own.publicUrl)).access_token);
      }
      await post('token', { ...client, client_secret: shop.client_secret }, grant, own.publicUrl);
      await post('token', client, { ...grant, scope: 'nothing:read' }, own.publicUrl);
      for (const token of [...tokens, 'unknown']) await post('introspect', shop, { token }, own.publicUrl);

      expect(await count('keyturn_tokens_issued_total')).toBe(3);
      expect(await count('keyturn_introspections_total', { result: 'active' })).toBe(3);
      expect(await count('keyturn_introspections_total', { result: 'inactive' })).toBe(1);
      const route = '/oauth2/token';
      expect(await count('keyturn_requests_total', { route, status: '2xx', reason: 'none' })).toBe(3);
      expect(await count('keyturn_requests_total', { route, status: '4xx', reason: 'invalid_client' })).toBe(1);
      expect(await count('keyturn_requests_total', { route, status: '4xx', reason: 'invalid_scope' })).toBe(1);
      expect(await count('keyturn_credentials_refused_total', { reason: 'wrong_secret' })).toBe(1);
      expect(await count('keyturn_token_request_duration_seconds_count')).toBe(5);
      expect(await count('keyturn_introspection_request_duration_seconds_count')).toBe(4);
      expect(await count('keyturn_token_store_duration_seconds_count', { operation: 'save' })).toBe(3);
      expect(await count('keyturn_client_lookups_total', { from: 'memory' })).toBeGreaterThan(4);
      expect(await count('keyturn_client_lookups_total', { from: 'database' })).toBeGreaterThan(1);
      // A second server in the same process has its own metrics.
      expect(await read('keyturn_tokens_issued_total')).toBe(0);
    } finally {
      await own.close();
    }
  },
);

test('reports grace periods, retired secrets, the stores and the process', async () => {
  const client = await manage('/clients', { name: 'Turned', kind: 'integration' });
  const path = `/clients/${client.client_id}`;
  const own = await startTestServer({ stores: server.stores });
  const turn = async (more: object) => {
    const { confirmation } = await manage<{ confirmation: string }>(`${path}/regeneration/review`, {});
    return await manage(`${path}/regenerate`, { confirmation, ...more });
  };
  await turn({});
  expect(await read('keyturn_overlaps_running', {}, own.adminUrl)).toBe(1);
  await turn({ overlap_seconds: 0 });
  await post('token', client, grant, own.publicUrl);
  const { samples } = await scrape(own.adminUrl);
  await own.close();
  const value = (name: string, labels: Record<string, string> = {}) =>
    samples.find((one) => one.name === name && Object.entries(labels).every(([key, text]) => one.labels[key] === text))
      ?.value;
  expect(value('keyturn_credentials_refused_total', { reason: 'retired_secret' })).toBe(1);
  // This value is refreshed at most every 15 seconds.
  expect(value('keyturn_overlaps_running')).toBe(1);
  expect(value('keyturn_store_errors_total', { store: 'database' })).toBe(0);
  expect(value('keyturn_database_connections', { state: 'idle' })).toBeGreaterThan(0);
  expect(value('keyturn_changes_lag_seconds')).toEqual(expect.any(Number));
  expect(value('keyturn_event_loop_delay_seconds', { quantile: '0.99' })).toBeGreaterThan(0);
  expect(value('keyturn_admin_requests_total', { method: 'GET', status: '2xx' })).toBeGreaterThan(0);
});

test('serves metrics on the admin listener only, to GET requests without a token and for any Host', async () => {
  expect((await fetch(`${server.publicUrl}/metrics`)).status).toBe(404);
  const byAddress = await fetch(`${server.adminUrl}/metrics`, { headers: { Host: 'pod-10-0-0-7' } });
  expect(byAddress.status).toBe(200);
  expect((await fetch(`${server.adminUrl}/metrics`, { method: 'POST' })).status).toBe(404);
});

test('puts no Client ID and no address into a label, and counts all unknown paths as one', async () => {
  const client = await manage('/clients', { name: 'Nameless', kind: 'integration' });
  await post('token', client, grant);
  await fetch(`${server.publicUrl}/${client.client_id}`);
  await fetch(`${server.publicUrl}/oauth2/token?who=${client.client_id}`);
  const { text, samples } = await scrape();
  expect(text).not.toMatch(/kt[isako]_|127\.0\.0\.1|::1|@|[0-9a-f]{8}-[0-9a-f]{4}/);
  const labels = new Set(samples.flatMap((sample) => Object.keys(sample.labels)));
  const known = [
    'route',
    'status',
    'reason',
    'result',
    'store',
    'operation',
    'state',
    'from',
    'method',
    'quantile',
    'le',
    'problem',
    'stream',
  ];
  expect([...labels].filter((label) => !known.includes(label))).toEqual([]);
  expect(await read('keyturn_requests_total', { route: 'other' })).toBeGreaterThan(0);
});

test('counts failures of a store that is unavailable, and still answers a scrape', async () => {
  const own = await startTestServer({ stores: await createTestStores() });
  const { core } = own;
  try {
    await expect(core.database.query('SELECT pg_terminate_backend(pg_backend_pid())')).rejects.toThrow();
    expect(await read('keyturn_store_errors_total', { store: 'database' }, own.adminUrl)).toBeGreaterThan(0);
  } finally {
    await own.close();
  }
});

test('limits the number of series for unknown error codes', async () => {
  const metrics = createMetrics();
  for (let code = 0; code < 1_000; code++) {
    metrics.answered({ path: `/${code}`, status: 400, ms: 1, reason: `code_${code}` });
  }
  const text = await presentMetrics([await metrics.collect()]);
  metrics.close();
  expect(text.match(/^keyturn_requests_total\{/gm)?.length).toBeLessThan(100);
  expect(text).toMatch(/keyturn_requests_total\{route="other",status="4xx",reason="other"\} 9\d\d\n/);
});

test('adds up all workers in the answer of any of them, including the counts of a worker that has ended', async () => {
  const { databaseUrl, redisUrl, rootKey } = server.stores;
  const client = await manage('/clients', { name: 'Shared', kind: 'integration' });
  const child = startCommand(['start'], {
    DATABASE_URL: databaseUrl,
    REDIS_URL: redisUrl,
    KEYTURN_ROOT_KEY: rootKey,
    KEYTURN_WORKERS: '2',
    KEYTURN_PORT: '0',
    KEYTURN_ADMIN_PORT: '0',
    KEYTURN_ALLOWED_HOSTS: '127.0.0.1',
  });
  try {
    const lines: { pid?: number; public?: string; admin?: string; msg?: string }[] = [];
    let rest = '';
    child.stdout.on('data', (chunk: Buffer) => {
      const parts = (rest + chunk).split('\n');
      rest = parts.pop() ?? '';
      lines.push(...parts.map((line) => JSON.parse(line) as (typeof lines)[number]));
    });
    const ready = () => lines.filter(({ msg }) => msg === 'Keyturn is ready');
    await eventually(() => ready().length === 2);
    const { public: publicUrl = '', admin: adminUrl = '' } = ready()[0] ?? {};
    // One connection per request, so that both workers receive some.
    for (let round = 0; round < 10; round++) await requestOnce(publicUrl, client);
    for (let round = 0; round < 6; round++) {
      expect(await read('keyturn_tokens_issued_total', {}, adminUrl)).toBe(10);
      expect(await read('keyturn_processes', {}, adminUrl)).toBe(2);
    }
    child.kill('SIGHUP');
    await eventually(() => ready().length === 4);
    await eventually(async () => (await read('keyturn_processes', {}, adminUrl)) === 2);
    expect(await read('keyturn_tokens_issued_total', {}, adminUrl)).toBe(10);
  } finally {
    child.kill('SIGTERM');
    await new Promise((resolve) => child.once('close', resolve));
  }
});

async function requestOnce(publicUrl: string, { client_id, client_secret }: Client): Promise<void> {
  const headers = { Connection: 'close' };
  const body = new URLSearchParams({ ...grant, client_id, client_secret });
  const response = await fetch(`${publicUrl}/oauth2/token`, { method: 'POST', headers, body });
  expect(response.status).toBe(200);
  await response.text();
}

test('the dashboard and the alert rules use only metrics and labels that exist', async () => {
  const { text, samples } = await scrape();
  const names = new Set([...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name = '']) => name));
  const labels = new Set([...samples.flatMap((sample) => Object.keys(sample.labels)), 'job', 'instance']);
  const dashboard = readFileSync('deploy/monitoring/grafana-dashboard.json', 'utf8');
  const rules = readFileSync('deploy/monitoring/prometheus-alerts.yaml', 'utf8');
  const { panels } = JSON.parse(dashboard) as { panels: { targets: { expr: string }[] }[] };
  const asked = [...panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)), rules].join('\n');
  const mentioned = [...asked.matchAll(/keyturn_\w+/g)].map(([name]) => name.replace(/_(bucket|sum|count)$/, ''));
  expect(mentioned.length).toBeGreaterThan(20);
  expect(mentioned.filter((name) => !names.has(name))).toEqual([]);
  // Every metric that the server exports is on the dashboard.
  expect([...names].filter((name) => !dashboard.includes(name))).toEqual([]);
  const selected = [...asked.matchAll(/keyturn_\w+\{([^}]*)\}/g)].flatMap(([, selector = '']) =>
    [...selector.matchAll(/(\w+)(?:=~|!=|!~|=)"/g)].map(([, label]) => label ?? ''),
  );
  const grouped = [...asked.matchAll(/by \(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(', '));
  expect([...selected, ...grouped].filter((label) => !labels.has(label))).toEqual([]);
});

test('docs/operations.md lists exactly the existing metrics, with their types and labels, and the existing alerts', async () => {
  // A metric with labels has no series until it was counted once.
  await scrape();
  const { text, samples } = await scrape();
  const exposed = [...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name = '', type]) => {
    const own = samples.filter((sample) => sample.name.replace(/_(bucket|sum|count)$/, '') === name);
    const labels = new Set(own.flatMap((sample) => Object.keys(sample.labels)).filter((label) => label !== 'le'));
    return [name, type, ...[...labels].sort()].join(' ');
  });
  const page = readFileSync('docs/operations.md', 'utf8');
  const told = [...page.matchAll(/^\| `(keyturn_\w+)` \| (\w+) \| ([^|]*)\| \S/gm)].map(([, name, type, labels = '']) =>
    [name, type, ...[...labels.matchAll(/\w+/g)].map(([label]) => label).sort()].join(' '),
  );
  expect(told.sort()).toEqual(exposed.sort());
  const names = new Set(told.map((line) => line.split(' ')[0]));
  expect([...page.matchAll(/keyturn_\w+/g)].filter(([name]) => !names.has(name))).toEqual([]);

  const rules = readFileSync('deploy/monitoring/prometheus-alerts.yaml', 'utf8');
  const alerts = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name]) => name);
  expect(alerts.length).toBeGreaterThan(5);
  const withAdvice = [...page.matchAll(/^\| `(Keyturn\w+)` \| \S/gm)].map(([, name]) => name);
  expect(withAdvice.sort()).toEqual(alerts.sort());
  expect([...page.matchAll(/`(Keyturn\w+)`/g)].filter(([, name]) => !alerts.includes(name))).toEqual([]);
});
