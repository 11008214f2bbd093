import { makeCertificate } from '../certificates.ts';
import { runCommand } from '../cli/run-command.ts';
import { endpointsOf } from '../oauth/fixture.ts';
import { type ConsoleServer, startConsole } from './console-server.ts';

const hour = 3_600_000;
const day = 24 * hour;
let now = Date.now();
let server: ConsoleServer;
let cookie: string;
let sync: { client_id: string; client_secret: string };
let late: { client_id: string; client_secret: string };
const keys = new Map<string, { id: string; access_key: string }>();

beforeAll(async () => {
  server = await startConsole({ clock: () => now });
  cookie = await server.signIn((await server.operator()).token);
  await post('/clients', { name: 'Calm', kind: 'integration' });
  sync = await post('/clients', { name: 'In grace', kind: 'integration' });
  late = await post('/clients', { name: 'Late', kind: 'integration' });
  const jwks = { keys: [jwkThatEnds(new Date(now + 5 * day))] };
  await post('/clients', { name: 'Ending', kind: 'integration', auth_method: 'self_signed_tls_client_auth', jwks });
  const partner = await post('/contacts', { name: 'Partner', email: 'partner@example.com' });
  for (const name of ['Calm key', 'Key in grace', 'Late key', 'Ending key']) {
    const expires_at = name === 'Ending key' ? new Date(now + 5 * day).toISOString() : null;
    keys.set(name, await post(`/contacts/${partner.id}/access-keys`, { name, permissions: {}, expires_at }));
  }
  await regenerate(`/clients/${sync.client_id}`, 2 * 86_400);
  await regenerate(`/clients/${late.client_id}`, 0);
  await regenerate(`/access-keys/${keys.get('Key in grace')?.id}`, 2 * 86_400);
  await regenerate(`/access-keys/${keys.get('Late key')?.id}`, 0);
  const { token } = endpointsOf(server.publicUrl);
  for (let count = 0; count < 3; count++) await token({ id: late.client_id, secret: late.client_secret });
  const caller = { id: sync.client_id, secret: sync.client_secret };
  for (let count = 0; count < 2; count++) {
    await token(caller, { access_key: keys.get('Late key')?.access_key ?? '' });
  }
  await server.core.usage.flush();
  now += hour;
});
afterAll(() => server.close());

async function post(path: string, body: unknown = {}) {
  // Lists are in the order of creation.
  now += 1_000;
  const { status, json, text } = await server.adminFetch(path, { method: 'POST', body });
  if (status > 299) throw new Error(`${path}: ${text}`);
  return json;
}

async function regenerate(path: string, overlapSeconds: number) {
  const { confirmation } = await post(`${path}/regeneration/review`);
  return await post(`${path}/regenerate`, { confirmation, overlap_seconds: overlapSeconds });
}

async function names(list: 'clients' | 'access-keys', query: string): Promise<string[]> {
  const { json } = await server.adminFetch(`/${list}?${query}`);
  return (json.data as { name: string }[]).map(({ name }) => name);
}

/** Returns the row of a thing in a list of the console. */
async function rowOf(path: string, name: string): Promise<string> {
  const { text } = await server.look(path, cookie);
  return text.split('<tr').find((row) => row.includes(`>${name}</a>`)) ?? '';
}

it.each(['integrations', 'access-keys'])(
  'counts the %s in each state above their list, on every page',
  async (list) => {
    for (const query of ['', '?q=Calm']) {
      const { text } = await server.look(`/console/${list}${query}`, cookie);
      expect(linkText(text, `/console/${list}?state=in_grace_period`)).toBe('In grace period: 1');
      expect(linkText(text, `/console/${list}?state=refused`)).toBe('Refused with an ended credential: 1');
      expect(linkText(text, `/console/${list}?state=unused`)).toBeUndefined();
    }
  },
);

it.each([
  ['in_grace_period', ['In grace'], ['Key in grace']],
  ['refused', ['Late'], ['Late key']],
  ['expiring', ['Ending'], ['Ending key']],
  ['unused', [], []],
])('lists the clients and access keys that are %s', async (state, clients, accessKeys) => {
  expect(await names('clients', `state=${state}`)).toEqual(clients);
  expect(await names('access-keys', `state=${state}`)).toEqual(accessKeys);
});

it('lists what is in a state together with every other filter, page by page', async () => {
  expect(await names('clients', 'state=refused&q=lat&kind=integration&status=enabled')).toEqual(['Late']);
  expect(await names('clients', 'state=refused&q=grace')).toEqual([]);
  expect(await names('access-keys', 'state=in_grace_period&q=key&status=enabled')).toEqual(['Key in grace']);
  expect(await names('access-keys', 'state=in_grace_period&q=late')).toEqual([]);
  expect(await server.adminFetch('/clients?state=idle')).toMatchObject({ status: 400 });
});

it('marks what is refused with an ended credential in red, with how often and when, and a grace period in amber', async () => {
  for (const [list, name, times] of [
    ['integrations', 'Late', 3],
    ['access-keys', 'Late key', 2],
  ] as const) {
    const row = (await rowOf(`/console/${list}?state=refused`, name)).replaceAll(/<\/?time[^>]*>/g, '');
    expect(row).toContain(
      `<span class="badge bad">refused ${times} times with an ended credential, last 1 hour ago</span>`,
    );
  }
  const at = new Date(now - hour).toISOString();
  const { json } = await server.adminFetch(`/clients/${late.client_id}`);
  expect(json.ended_credential_use).toEqual({ requests: 3, last_at: at });
  for (const [list, name] of [
    ['integrations', 'In grace'],
    ['access-keys', 'Key in grace'],
  ] as const) {
    const row = (await rowOf(`/console/${list}`, name)).replaceAll(/<\/?time[^>]*>/g, '');
    expect(row).toContain('<span class="badge warn">grace period ends in 1 day</span>');
    expect(row).not.toContain('refused');
  }
});

it('filters the lists of the console and of the command line by state', async () => {
  const { text } = await server.look('/console/integrations?state=in_grace_period', cookie);
  expect(text).toContain('<option value="in_grace_period" selected>In grace period</option>');
  expect(text).toContain(`href="/console/clients/${sync.client_id}"`);
  expect(text).not.toContain(late.client_id);
  const environment = {
    DATABASE_URL: server.stores.databaseUrl,
    REDIS_URL: server.stores.redisUrl,
    KEYTURN_ROOT_KEY: server.stores.rootKey,
  };
  // The command line has the clock of the machine.
  const listed = await runCommand(['clients', 'list', '--state', 'in-grace-period', '--json'], environment);
  expect(JSON.parse(listed.stdout).data).toMatchObject([{ name: 'In grace' }]);
  const refused = await runCommand(['access-keys', 'list', '--state', 'refused'], environment);
  expect(refused.stdout.split('\n')[1]).toContain('Late key');
});

it('lists as unused what is enabled, and was neither used nor created in 90 days', async () => {
  now += 91 * day;
  await post(`/access-keys/${keys.get('Calm key')?.id}/disable`);
  await post('/clients', { name: 'New', kind: 'integration' });
  expect(await names('clients', 'state=unused')).toEqual(['Ending', 'Late', 'In grace', 'Calm']);
  expect(await names('clients', 'state=unused&limit=2')).toEqual(['Ending', 'Late']);
  expect(await names('access-keys', 'state=unused')).toEqual(['Late key', 'Key in grace']);
});

function jwkThatEnds(notAfter: Date) {
  const { x509 } = makeCertificate({ notAfter });
  return { ...x509.publicKey.export({ format: 'jwk' }), x5c: [x509.raw.toString('base64')] };
}

function linkText(page: string, path: string): string | undefined {
  const [, after] = page.split(`<a href="${path}"`);
  return after?.slice(after.indexOf('>') + 1, after.indexOf('</a>')).replaceAll(/<[^>]*>/g, '');
}
