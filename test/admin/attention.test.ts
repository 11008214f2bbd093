import type { X509Certificate } from 'node:crypto';
import { makeCertificate } from '../certificates.ts';
import { runCommand } from '../cli/run-command.ts';
import { createWorld, day, hour, minute, type World } from '../regeneration/world.ts';

let world: World;

beforeEach(async () => {
  world = await createWorld();
});
afterEach(async () => {
  await world.close();
});

const web = { from: '127.0.0.11', userAgent: 'shop-web/3.1' };
const nightly = { from: '127.0.0.12', userAgent: 'shop-nightly/1.0' };

// biome-ignore lint/suspicious/noExplicitAny: the shape of a response is unknown until a test checks it.
async function attention(query = ''): Promise<any> {
  await world.core.usage.flush();
  return (await world.adminFetch(`/attention${query}`)).json;
}

async function status(...args: string[]) {
  const { databaseUrl, redisUrl, rootKey } = world.stores;
  return await runCommand(['status', ...args], {
    DATABASE_URL: databaseUrl,
    REDIS_URL: redisUrl,
    KEYTURN_ROOT_KEY: rootKey,
  });
}

test('nothing needs attention in a new deployment, and the first steps are those that were taken', async () => {
  expect(await attention()).toEqual({
    checked_at: new Date(world.now()).toISOString(),
    urgency: 'none',
    data: [],
    counts: [],
    first_steps: { resource_server: true, integration: true, token: false, rotation: false },
  });
  await world.token(world.shop, web);
  await world.regenerate();
  expect((await attention()).first_steps).toMatchObject({ token: true, rotation: true });
});

test('a grace period with sources that have not moved is listed, and urgent on its last day', async () => {
  await world.token(world.shop, web);
  await world.token(world.shop, nightly);
  const { json, credentials } = await world.regenerate({ overlap_seconds: 3 * 86_400 });
  await world.token(credentials, web);
  world.pass(2 * hour);
  const [item] = (await attention()).data;
  expect(item).toMatchObject({
    kind: 'grace_period_ending',
    urgency: 'soon',
    client_id: world.shop.id,
    name: 'Shop',
    regeneration_id: json.regeneration_id,
    at: json.previous.retires_at,
    sources: [{ address: '127.0.0.12', user_agent: 'shop-nightly/1.0', instance: null }],
    source_count: 1,
    moved_count: 1,
    message: '1 of 2 sources have moved to the new credential. 1 source fails when the grace period ends.',
  });
  world.pass(2 * day);
  expect(await attention()).toMatchObject({ urgency: 'urgent', data: [{ kind: 'grace_period_ending' }] });
});

test('a grace period can be ended as soon as all sources have moved', async () => {
  await world.token(world.shop, web);
  const { credentials } = await world.regenerate();
  await world.token(credentials, web);
  expect((await attention()).data).toMatchObject([{ kind: 'grace_period_ending', moved_count: 0 }]);
  world.pass(2 * hour);
  expect((await attention()).data).toMatchObject([{ kind: 'grace_period_complete', urgency: 'later', moved_count: 1 }]);
});

test('a credential that is used after its end is urgent for a day, listed for a week, and says by whom and how often', async () => {
  await world.token(world.shop, nightly);
  await world.regenerate({ overlap_seconds: 3_600 });
  world.pass(2 * hour);
  for (let count = 0; count < 3; count++) await world.askToken(world.shop, nightly);
  await world.askToken(world.shop, web);
  const refused = await attention();
  expect(refused).toMatchObject({
    urgency: 'urgent',
    data: [
      {
        kind: 'refused_credential',
        client_id: world.shop.id,
        at: new Date(world.now()).toISOString(),
        source_count: 2,
        requests: 4,
        message: '4 requests of 2 sources rejected, because the credential has ended.',
      },
    ],
    counts: [{ kind: 'refused_credential', count: 1 }],
  });
  world.pass(2 * day);
  expect((await attention()).data).toMatchObject([{ kind: 'refused_credential', urgency: 'soon' }]);
  world.pass(6 * day);
  expect((await attention()).data).toEqual([]);
});

test('keyturn status lists the same and exits with 1 only if something is urgent', async () => {
  expect(await status()).toMatchObject({ code: 0, stdout: 'Nothing needs attention.\n' });
  await world.post('/disable');
  await world.adminFetch(`/clients/${world.api.id}/disable`, { method: 'POST' });
  const text = await status();
  expect(text.code).toBe(1);
  expect(text.stdout).toContain(`urgent  Orders API  ${world.api.id}\n`);
  expect(text.stdout).toContain('→ Enable the resource server.');
  const json = await status('--json');
  expect(json.code).toBe(1);
  expect(JSON.parse(json.stdout).data).toMatchObject([{ kind: 'resource_server_disabled', urgency: 'urgent' }]);
});

test('a resource server that checked tokens before is listed after a week without a request', async () => {
  const token = await world.token(world.shop, web);
  await world.isLive(token);
  world.pass(6 * day);
  expect((await attention()).data).toEqual([]);
  world.pass(2 * day);
  expect((await attention()).data).toMatchObject([{ kind: 'resource_server_silent', client_id: world.api.id }]);
});

test('access keys and certificates are listed 14 days before they expire, the first to expire first', async () => {
  const contact = (
    await world.adminFetch('/contacts', { method: 'POST', body: { name: 'Partner', email: 'it@partner.example' } })
  ).json;
  const keys: string[] = [];
  for (const days of [13, 15, 2]) {
    const expires_at = new Date(world.now() + days * day).toISOString();
    const body = { name: `in ${days} days`, permissions: { orders: ['read'] }, expires_at };
    keys.push((await world.adminFetch(`/contacts/${contact.id}/access-keys`, { method: 'POST', body })).json.id);
  }
  const until = (days: number) => makeCertificate({ notAfter: new Date(world.now() + days * day) });
  for (const [name, certificates] of [
    ['expires', [until(5)]],
    ['is replaced in time', [until(5), until(100)]],
  ] as const) {
    const jwks = { keys: certificates.map(({ x509 }) => jwkOf(x509)) };
    const body = { name, kind: 'integration', auth_method: 'self_signed_tls_client_auth', jwks };
    expect((await world.adminFetch('/clients', { method: 'POST', body })).status).toBe(201);
  }
  expect((await attention()).data).toMatchObject([
    { kind: 'certificate_expiring', urgency: 'soon', name: 'expires' },
    { kind: 'access_key_expiring', urgency: 'later', access_key_id: keys[2], contact_name: 'Partner' },
    { kind: 'access_key_expiring', access_key_id: keys[0] },
  ]);
});

function jwkOf(x509: X509Certificate) {
  return { ...x509.publicKey.export({ format: 'jwk' }), x5c: [x509.raw.toString('base64')] };
}

test('integrations and access keys are listed when they were not used for 90 days, and not after one use', async () => {
  const contact = (
    await world.adminFetch('/contacts', { method: 'POST', body: { name: 'Partner', email: 'it@partner.example' } })
  ).json;
  const body = { name: 'idle', permissions: { orders: ['read'] } };
  const key = (await world.adminFetch(`/contacts/${contact.id}/access-keys`, { method: 'POST', body })).json;
  world.pass(89 * day);
  expect((await attention()).data).toEqual([]);
  world.pass(2 * day);
  expect((await attention()).data).toMatchObject([
    { kind: 'unused_client', urgency: 'later', client_id: world.shop.id, at: null },
    { kind: 'unused_access_key', access_key_id: key.id, at: null },
  ]);
  await world.token(world.shop, web);
  expect((await attention()).data).toMatchObject([{ kind: 'unused_access_key' }]);
  world.pass(91 * day);
  // Sources are deleted after 90 days; the time of the last use stays.
  const usedAt = new Date(world.now() - 91 * day).toISOString();
  expect((await attention()).data).toMatchObject(
    [{ kind: 'unused_access_key' }, { kind: 'unused_client', at: usedAt }].reverse(),
  );
});

test('at most `limit` items of a kind are listed, and counts contain the others', async () => {
  for (let number = 0; number < 3; number++) {
    await world.adminFetch('/clients', { method: 'POST', body: { name: `idle ${number}`, kind: 'integration' } });
  }
  world.pass(91 * day + minute);
  const { data, counts } = await attention('?limit=2');
  expect(data).toHaveLength(2);
  expect(counts).toEqual([{ kind: 'unused_client', count: 4 }]);
});
