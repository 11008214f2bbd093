/**
 * `npm run bench:organizations -- [--organizations 10000]`: how long lists, searches and pages take with 10,000 organizations of 5 integrations,
 * beside a deployment with one organization of 5, and how much memory the server uses after every integration was
 * asked about. Starts `dist/main.js`, which `npm run build` makes, on real stores. Prints milliseconds; never fails.
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { permissions } from '../src/contacts/contact.ts';
import { freePort } from '../test/free-port.ts';
import { askPostgres, startServices } from '../test/services.ts';
import { type SeededDeployment, type Size, seedOrganizations } from './seed-organizations.ts';
import { leaveServersCore, residentMegabytes, startServerProcess } from './server-process.ts';

const { values } = parseArgs({ options: { organizations: { type: 'string', default: '10000' } } });
const sizes: readonly Size[] = [
  { organizations: 1, integrations: 5 },
  { organizations: Number(values.organizations), integrations: 5 },
];
/** Requests of each path before those that count, so that its code is compiled. */
const warmUps = 10;
const times = 5;
const program = fileURLToPath(new URL('../dist/main.js', import.meta.url));

type Measured = { median: number; worst: number; status: number };

/** Paths of the admin API, as an operator of the deployment. */
const lists = (of: SeededDeployment) => [
  '/organizations',
  '/organizations?order=name',
  '/organizations?q=acme',
  '/organizations?q=customer+77',
  '/organizations?q=crm-1',
  `/organizations/${of.organization}`,
  '/clients',
  '/clients?limit=200',
  '/clients?order=name',
  '/clients?q=acme',
  '/clients?q=order',
  '/clients?q=nobody',
  `/clients?organization_id=${of.organization}`,
  `/clients?organization_id=${of.organization}&q=order`,
  '/contacts',
  '/contacts?q=person',
  `/contacts?organization_id=${of.organization}`,
  '/access-keys',
  '/access-keys?q=key',
  '/access-keys?unused_for_days=30',
  `/access-keys?organization_id=${of.organization}`,
  '/audit-events',
  `/audit-events?target=${of.clientId}`,
  '/search?q=acme',
  '/search?q=order',
  '/search?q=nobody',
  '/search?q=192.0.2.1',
  '/attention',
  '/expirations',
  '/posture',
];

const consolePages = (of: SeededDeployment) => [
  '/',
  '/organizations',
  '/organizations?q=acme',
  `/organizations/${of.organization}`,
  `/integrations?organization_id=${of.organization}`,
  '/integrations',
  '/integrations?q=order',
  '/access-keys',
  '/contacts',
  '/audit',
  '/search?q=acme',
  '/expirations',
  '/posture',
  `/clients/${of.clientId}`,
  `/clients/${of.clientId}/regenerate`,
];

const portalPages = (of: SeededDeployment) => [
  '/',
  '/integrations',
  '/integrations?q=order',
  '/access-keys',
  '/contacts',
  '/audit',
  '/search?q=order',
  '/search?q=192.0.2.1',
  '/expirations',
  '/posture',
  `/clients/${of.clientId}`,
  `/clients/${of.clientId}/regenerate`,
];

type Request = { url: string; headers: Record<string, string> };

/** Measures the requests in turn, so that what else the machine does slows all of them. */
async function measure(requests: readonly Request[]): Promise<Measured[]> {
  const taken = requests.map((): number[] => []);
  const statuses: number[] = [];
  for (let time = -warmUps; time < times; time++) {
    for (const [at, { url, headers }] of requests.entries()) {
      const startedAt = performance.now();
      const response = await fetch(url, { headers, redirect: 'manual' });
      await response.arrayBuffer();
      if (time >= 0) taken[at]?.push(performance.now() - startedAt);
      statuses[at] = response.status;
    }
  }
  return taken.map((each, at) => {
    each.sort((left, right) => left - right);
    return {
      median: each[Math.floor(times / 2)] ?? Number.NaN,
      worst: each.at(-1) ?? Number.NaN,
      status: statuses[at] ?? 0,
    };
  });
}

/** Signs in with a form. Returns the cookie of the session. */
async function signIn(url: string, form: Record<string, string>): Promise<string> {
  const headers = { origin: new URL(url).origin };
  const response = await fetch(url, { method: 'POST', body: new URLSearchParams(form), headers, redirect: 'manual' });
  return response.headers.getSetCookie()[0]?.split(';')[0] ?? '';
}

/** Asks for a token of every integration with a wrong secret, which fills the cache of clients. */
async function askAboutEach(deployment: SeededDeployment, publicUrl: string): Promise<number> {
  const rows = await askPostgres(deployment.env['DATABASE_URL'] ?? '', 'SELECT client_id FROM clients');
  const secret = `kts_${'0'.repeat(49)}`;
  let next = 0;
  const body = 'grant_type=client_credentials';
  const worker = async () => {
    for (let row = rows[next++]; row; row = rows[next++]) {
      const authorization = `Basic ${Buffer.from(`${row['client_id']}:${secret}`).toString('base64')}`;
      const headers = { authorization, 'content-type': 'application/x-www-form-urlencoded' };
      await (await fetch(`${publicUrl}/oauth2/token`, { method: 'POST', headers, body })).arrayBuffer();
    }
  };
  await Promise.all(Array.from({ length: 16 }, worker));
  return rows.length;
}

/** Starts a server with as many organizations, and signs in to it. */
async function start(stores: { databaseUrl: string; redisUrl: string }, size: Size, ends: AsyncDisposableStack) {
  const deployment = await seedOrganizations(stores, size);
  ends.defer(() => deployment.remove());
  const [port, adminPort, portalPort] = [await freePort(), await freePort(), await freePort()];
  const publicUrl = `http://127.0.0.1:${port}`;
  const adminUrl = `http://127.0.0.1:${adminPort}`;
  const portalUrl = `http://127.0.0.1:${portalPort}`;
  const server = await startServerProcess({
    args: [program, 'start'],
    env: {
      ...deployment.env,
      KEYTURN_LOG_LEVEL: 'warn',
      KEYTURN_PORT: String(port),
      KEYTURN_ADMIN_PORT: String(adminPort),
      KEYTURN_PORTAL_PORT: String(portalPort),
      KEYTURN_PORTAL_URL: portalUrl,
    },
    stdio: ['ignore', 'ignore', 'inherit'],
    isReady: async () => (await fetch(`${publicUrl}/readyz`)).ok,
  });
  ends.defer(() => server.stop());
  const idle = residentMegabytes(server.pid);
  const authorization = { authorization: `Bearer ${deployment.operatorToken}` };
  const operator = { cookie: await signIn(`${adminUrl}/console/sign-in`, { token: deployment.operatorToken }) };
  const asked = await fetch(`${adminUrl}/admin/v1/portal-sessions`, {
    method: 'POST',
    headers: { ...authorization, 'content-type': 'application/json' },
    body: JSON.stringify({
      organization_id: deployment.organization,
      email: 'ann@bench.test',
      name: 'Ann',
      permissions,
    }),
  });
  if (asked.status !== 201) throw new Error(await asked.text());
  const { url } = (await asked.json()) as { url: string };
  const code = new URL(url).searchParams.get('code') ?? '';
  const person = { cookie: await signIn(`${portalUrl}/portal/sign-in`, { code }) };
  const requests = [
    ...lists(deployment).map((path) => ({
      name: `API ${path}`,
      url: `${adminUrl}/admin/v1${path}`,
      headers: authorization,
    })),
    ...consolePages(deployment).map((path) => ({
      name: `console ${path}`,
      url: `${adminUrl}/console${path}`,
      headers: operator,
    })),
    ...portalPages(deployment).map((path) => ({
      name: `portal ${path}`,
      url: `${portalUrl}/portal${path}`,
      headers: person,
    })),
  ];
  return { deployment, server, publicUrl, idle, requests };
}

leaveServersCore();
await using ends = new AsyncDisposableStack();
const stores = await startServices();
ends.defer(() => stores.stop());
const started = [];
for (const size of sizes) started.push(await start(stores, size, ends));
const head = sizes.map(({ organizations, integrations }) => `${organizations} × ${integrations}`);
console.log(['ms, median and worst of 5'.padEnd(54), ...head.map((each) => each.padStart(18))].join(''));
const { deployment } = started[1] ?? {};
for (const [at, { name }] of (started[1]?.requests ?? []).entries()) {
  const measured = await measure(started.flatMap(({ requests }) => requests[at] ?? []));
  const cells = measured.map(({ median, worst }) => `${median.toFixed(1)} / ${worst.toFixed(1)}`.padStart(18));
  const notes = measured.map(({ status }) => (status === 200 ? '' : `  status ${status}`));
  const title = name
    .replace(deployment?.organization ?? '', 'ORGANIZATION')
    .replace(deployment?.clientId ?? '', 'CLIENT');
  console.log([title.padEnd(54), ...cells, ...notes].join(''));
}
for (const { server, deployment, publicUrl, idle } of started) {
  const before = residentMegabytes(server.pid);
  const clients = await askAboutEach(deployment, publicUrl);
  const [first, second, third] = [idle, before, residentMegabytes(server.pid)].map((each) => each.toFixed(0));
  console.log(`${clients} clients: ${first} MB idle, ${second} after the pages, ${third} after a request of each`);
}
