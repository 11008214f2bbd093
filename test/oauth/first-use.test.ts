import { pbkdf2Sync, randomBytes, scryptSync } from 'node:crypto';
import { hash as bcrypt } from 'bcrypt';
import { runCommand } from '../cli/run-command.ts';
import { eventually, eventuallyIs } from '../eventually.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { askPostgres } from '../services.ts';
import { endpointsOf, register, type TestClient } from './fixture.ts';

/** Clients whose secrets another server had hashed, imported with the command line and used over HTTP. */

let server: TestServer;
let other: TestServer;
let api: ReturnType<typeof endpointsOf>;
let apiOfOther: ReturnType<typeof endpointsOf>;

const secretOf = () => `x${randomBytes(24).toString('base64url')}`;
const base64 = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '');

const hashes: Record<string, (secret: string) => Promise<unknown>> = {
  bcrypt: (secret) => bcrypt(secret, 4),
  hydra: async (secret) => {
    const salt = randomBytes(16);
    return `$pbkdf2-sha256$i=1000,l=32$${base64(salt)}$${base64(pbkdf2Sync(secret, salt, 1_000, 32, 'sha256'))}`;
  },
  keycloak: async (secret) => {
    const salt = randomBytes(16);
    const value = pbkdf2Sync(secret, salt, 1_000, 64, 'sha512').toString('base64');
    return { algorithm: 'pbkdf2-sha512', hashIterations: 1_000, salt: salt.toString('base64'), value };
  },
  scrypt: async (secret) => {
    const salt = randomBytes(16);
    return `$scrypt$ln=4,r=8,p=1$${base64(salt)}$${base64(scryptSync(secret, salt, 32, { N: 16, r: 8, p: 1 }))}`;
  },
};

const environmentOf = ({ stores }: TestServer) => ({
  DATABASE_URL: stores.databaseUrl,
  KEYTURN_ROOT_KEY: stores.rootKey,
});
const run = (args: string[], input = '', of = server) => runCommand(['clients', ...args], environmentOf(of), input);

/** Imports clients with hashed secrets. */
async function importHashed(clients: object[], of = server): Promise<void> {
  const { code, stderr } = await run(['import', '-'], JSON.stringify(clients), of);
  if (code !== 0) throw new Error(stderr);
}

async function importOne(id: string, cost = 4, of = server): Promise<TestClient> {
  const secret = secretOf();
  await importHashed([{ client_id: id, scope: 'orders:read', client_secret_hash: await bcrypt(secret, cost) }], of);
  return { id, secret };
}

const secretRows = async (id: string, of = server) =>
  await of.core.database.query<{ hash: string | null; hint: string; sealed: string | null; key_version: string }>(
    'SELECT s.hash, s.hint, s.sealed, s.key_version FROM secrets s WHERE s.client_id = $1 ORDER BY generation',
    [id],
  );
const eventsOf = async (id: string, of = server) =>
  await of.core.database.query<{ action: string; before: object; after: object }>(
    'SELECT action, before, after FROM audit_events WHERE target = $1 ORDER BY seq',
    [id],
  );

async function registerApi({ core }: TestServer): Promise<void> {
  await register(core, {
    name: 'Orders',
    kind: 'resource_server',
    resource: 'https://orders.example',
    information: ['orders'],
  });
}

beforeAll(async () => {
  server = await startTestServer({ env: { KEYTURN_FAILURES_PER_MINUTE: '0' } });
  other = await startTestServer({ stores: server.stores, env: { KEYTURN_FAILURES_PER_MINUTE: '0' } });
  api = endpointsOf(server.publicUrl);
  apiOfOther = endpointsOf(other.publicUrl);
  await registerApi(server);
});
afterAll(async () => {
  await other?.close();
  await server?.close();
});

test('a secret in each known form of hash is accepted, and stored like every other secret at its first use', async () => {
  const clients = await Promise.all(
    Object.entries(hashes).map(async ([id, hash]) => {
      const secret = secretOf();
      return { id: `form-${id}`, secret, hash: await hash(secret) };
    }),
  );
  // Authelia, and a dump of Hydra's database, have the hash in place of the secret.
  await importHashed(
    clients.map(({ id, hash }) => ({
      client_id: id,
      scope: 'orders:read',
      ...(id === 'form-hydra' ? { client_secret: hash } : { client_secret_hash: hash }),
    })),
  );
  for (const { id, secret } of clients) {
    expect(await secretRows(id)).toMatchObject([{ hash: expect.any(String), hint: '', sealed: null }]);
    const wrong = await api.token({ id, secret: secretOf() });
    expect([id, wrong.status, wrong.json['error']]).toEqual([id, 401, 'invalid_client']);
    expect(await secretRows(id)).toMatchObject([{ hash: expect.any(String), hint: '', sealed: null }]);

    const first = await api.token({ id, secret });
    expect([id, first.status]).toEqual([id, 200]);
    expect(await secretRows(id)).toMatchObject([
      { hash: null, hint: secret.slice(-4), sealed: expect.any(String), key_version: server.core.keyRing.current },
    ]);
    // Another process accepts the secret without its hash.
    expect((await apiOfOther.token({ id, secret })).status).toBe(200);
    expect((await api.token({ id, secret: `${secret}x` })).status).toBe(401);
    const events = await eventsOf(id);
    expect(events.map(({ action }) => action)).toEqual(['client.import', 'client.first_use']);
    expect(events[0]?.after).toMatchObject({ secret: 'hashed' });
    expect(events[1]?.after).toMatchObject({ hint: secret.slice(-4), weak: null });
    expect(JSON.stringify(events)).not.toContain(secret);
  }
});

test('the first uses of one secret on many connections to two processes all succeed, and store it once', async () => {
  const client = await importOne('many-at-once');
  const answers = await Promise.all(
    Array.from({ length: 30 }, (_, index) => (index % 2 ? api : apiOfOther).token(client)),
  );
  expect(answers.map(({ status }) => status)).toEqual(Array(30).fill(200));
  expect((await eventsOf(client.id)).filter(({ action }) => action === 'client.first_use')).toHaveLength(1);
});

test('a client of which no copies of secrets are kept gets none at its first use', async () => {
  const secret = secretOf();
  await importHashed([{ client_id: 'no-copy', reveal: false, client_secret_hash: await bcrypt(secret, 4) }]);
  expect((await api.token({ id: 'no-copy', secret })).status).toBe(200);
  expect(await secretRows('no-copy')).toMatchObject([{ hash: null, sealed: null }]);
});

test('lists, imports and reviews of rotations name the clients that await their first use', async () => {
  const awaiting = { id: 'waits-for-its-use', secret: secretOf() };
  const row = { client_id: awaiting.id, scope: 'orders:read', client_secret_hash: await bcrypt(awaiting.secret, 4) };
  const checked = await run(['import', '-', '--check', '--json'], JSON.stringify([row]));
  expect(JSON.parse(checked.stdout)).toMatchObject({
    awaiting_first_use: 1,
    awaiting_first_use_clients: [awaiting.id],
  });
  const imported = await run(['import', '-'], JSON.stringify([row]));
  expect(imported.stderr).toContain(
    '1 with a hashed secret, which is verified when the client first uses it: waits-for',
  );
  const reviewed = async () => (await run(['regenerate', awaiting.id])).stderr;
  const listed = async () => (await run(['list', '--awaits-first-use'])).stdout;
  const text = 'The secret was imported as a hash and still awaits its first use: its users are not known yet.';
  expect(await reviewed()).toContain(text);
  expect(await listed()).toContain(awaiting.id);
  await api.accessToken(awaiting);
  expect(await reviewed()).not.toContain(text);
  expect(await listed()).not.toContain(awaiting.id);
});

test('a secret that is rotated before its first use is accepted until its grace period ends', async () => {
  const client = await importOne('rotated-before-use');
  const { stdout } = await run(['regenerate', client.id, '--yes']);
  const fresh = { id: client.id, secret: stdout.trim() };
  await eventuallyIs(
    () => api.token(fresh),
    ({ status }) => status === 200,
  );
  const previous = await api.token(client);
  expect(previous.status).toBe(200);
  expect(previous.headers).toMatchObject({ deprecation: expect.any(String), sunset: expect.any(String) });
  expect(await secretRows(client.id)).toMatchObject([{ hash: null, hint: client.secret.slice(-4) }, { hash: null }]);

  const unused = await importOne('ended-before-use');
  await run(['regenerate', unused.id, '--yes']);
  expect((await run(['finish', unused.id, '--yes'])).code).toBe(0);
  expect(await secretRows(unused.id)).toMatchObject([{ hash: null, hint: '' }, {}]);
  expect((await api.token(unused)).status).toBe(401);
});

test('a rotation that is undone before the first use leaves the imported secret to be used', async () => {
  const client = await importOne('undone-before-use');
  await run(['regenerate', client.id, '--yes']);
  expect((await run(['undo', client.id, '--yes'])).code).toBe(0);
  expect((await api.token(client)).status).toBe(200);
});

test('a previous secret of another server may be hashed too', async () => {
  const [current, previous] = [secretOf(), secretOf()];
  const expires = String(Math.floor(Date.now() / 1_000) + 3_600);
  const realm = {
    clients: [
      {
        clientId: 'rotated-elsewhere',
        serviceAccountsEnabled: true,
        secret: await bcrypt(current, 4),
        attributes: {
          'client.secret.rotated': await bcrypt(previous, 4),
          'client.secret.rotated.expiration.time': expires,
        },
      },
    ],
  };
  const { code, stderr } = await run(['import', '-'], JSON.stringify(realm));
  expect([code, stderr]).toEqual([0, expect.stringContaining('1 imported')]);
  for (const secret of [previous, current]) {
    expect((await api.token({ id: 'rotated-elsewhere', secret })).status).toBe(200);
  }
  expect(await secretRows('rotated-elsewhere')).toMatchObject([{ hash: null }, { hash: null }]);
});

test('a disabled client cannot use its hashed secret, and the same answer as for an unknown client is given', async () => {
  const client = await importOne('disabled-before-use');
  expect((await run(['disable', client.id, '--yes'])).code).toBe(0);
  const refused = await eventuallyIs(
    () => api.token(client),
    ({ status }) => status === 401,
  );
  const unknown = await api.token({ id: 'nobody-at-all', secret: client.secret });
  expect(refused.text).toBe(unknown.text);
  expect(await secretRows(client.id)).toMatchObject([{ hash: expect.any(String) }]);
});

test('a secret that another client has is rejected, and its usage shows the reason', async () => {
  const client = await importOne('first-of-two');
  await importHashed([{ client_id: 'second-of-two', client_secret_hash: await bcrypt(client.secret, 4) }]);
  expect((await api.token(client)).status).toBe(200);
  expect((await api.token({ ...client, id: 'second-of-two' })).status).toBe(401);
  await server.core.usage.flush();
  const reasons = await askPostgres(
    server.stores.databaseUrl,
    `SELECT reason FROM rejected_requests r JOIN clients c ON c.id = r.client WHERE c.client_id = 'second-of-two'`,
  );
  expect(JSON.stringify(reasons)).toContain('secret_taken');
});

test('the audit log says if a secret that was used for the first time is weak', async () => {
  const secret = 'passwordpassword';
  await importHashed([{ client_id: 'weak', client_secret_hash: await bcrypt(secret, 4) }]);
  expect((await api.token({ id: 'weak', secret })).status).toBe(200);
  const event = (await eventsOf('weak')).find(({ action }) => action === 'client.first_use');
  expect(event?.after).toMatchObject({ weak: expect.stringContaining('too easy to guess') });
});

describe('wrong secrets', () => {
  let limited: TestServer;
  let at: ReturnType<typeof endpointsOf>;
  let hashed: TestClient;
  let ordinary: TestClient;

  const verifications = async () => {
    const text = await (await fetch(`${limited.adminUrl}/metrics`)).text();
    const of = (result: string) =>
      Number(new RegExp(`keyturn_imported_hash_verifications_total\\{result="${result}"\\} (\\d+)`).exec(text)?.[1]);
    return { matched: of('matched'), notMatched: of('not_matched'), full: of('queue_full') };
  };

  beforeAll(async () => {
    limited = await startTestServer({ env: { KEYTURN_FAILURES_PER_MINUTE: '20' } });
    at = endpointsOf(limited.publicUrl);
    await registerApi(limited);
    // A verification takes longer than many ordinary requests.
    hashed = await importOne('hashed', 9, limited);
    ordinary = await register(limited.core, { name: 'Ordinary', kind: 'integration', scope: 'orders:read' });
    const plain = secretOf();
    await importHashed([{ client_id: 'plain', client_secret: plain }], limited);
  });
  afterAll(() => limited?.close());

  test('are counted before they are verified, for clients with and without a hash and unknown ones alike', async () => {
    for (const [index, id] of ['hashed', 'plain', 'unknown-client'].entries()) {
      const from = `127.0.1.${index + 1}`;
      const before = await verifications();
      const answers = await Promise.all(
        Array.from({ length: 30 }, () => at.token({ id, secret: secretOf() }, {}, { from })),
      );
      const count = (status: number) => answers.filter((answer) => answer.status === status).length;
      expect([id, count(401), count(429)]).toEqual([id, 20, 10]);
      expect([id, (await verifications()).notMatched - before.notMatched]).toEqual([id, 20]);
    }
  });

  test('do not delay ordinary tokens: all are issued while wrong secrets still wait to be verified', async () => {
    let answered = 0;
    const flood = Array.from({ length: 60 }, async (_, index) => {
      const { status } = await at.token(
        { id: 'hashed', secret: secretOf() },
        {},
        { from: `127.0.2.${(index % 6) + 1}` },
      );
      answered += 1;
      return status;
    });
    await eventually(() => answered > 0);
    for (let issued = 0; issued < 30; issued++) expect((await at.token(ordinary)).status).toBe(200);
    expect(answered).toBeLessThan(60);
    expect(new Set(await Promise.all(flood))).toEqual(new Set([401]));
  });

  test('of one address do not delay the first use at another address', async () => {
    const waiting = Array.from({ length: 20 }, () =>
      at.token({ id: 'hashed', secret: secretOf() }, {}, { from: '127.0.3.1' }),
    );
    let answered = 0;
    for (const each of waiting) void each.then(() => (answered += 1));
    await eventually(() => answered > 0);
    const first = await at.token(hashed, {}, { from: '127.0.3.2' });
    expect(first.status).toBe(200);
    expect(answered).toBeLessThan(20);
    expect(new Set((await Promise.all(waiting)).map(({ status }) => status))).toEqual(new Set([401]));
    // No secret awaits its first use any more, so nothing is computed for unknown clients.
    const { notMatched } = await verifications();
    expect((await at.token({ id: 'unknown-client', secret: secretOf() }, {}, { from: '127.0.3.3' })).status).toBe(401);
    expect((await verifications()).notMatched).toBe(notMatched);
  });
});

test('a successful first use is not counted as a failure', async () => {
  const strict = await startTestServer({ env: { KEYTURN_FAILURES_PER_MINUTE: '2' } });
  await registerApi(strict);
  const clients = await Promise.all(
    Array.from({ length: 6 }, async (_, index) => ({ id: `fleet-${index}`, secret: secretOf() })),
  );
  await importHashed(
    await Promise.all(
      clients.map(async ({ id, secret }) => ({ client_id: id, client_secret_hash: await bcrypt(secret, 4) })),
    ),
    strict,
  );
  for (const client of clients) expect((await endpointsOf(strict.publicUrl).token(client)).status).toBe(200);
  await strict.close();
});

test('more verifications than can wait get 503 with Retry-After, and the secret is accepted later', async () => {
  const busy = await startTestServer({ env: { KEYTURN_FAILURES_PER_MINUTE: '0' } });
  await registerApi(busy);
  const client = await importOne('busy', 8, busy);
  const at = endpointsOf(busy.publicUrl);
  const answers = await Promise.all(Array.from({ length: 180 }, () => at.token({ id: client.id, secret: secretOf() })));
  const full = answers.filter(({ status }) => status === 503);
  expect(full.length).toBeGreaterThan(0);
  expect(full[0]).toMatchObject({ headers: { 'retry-after': '1' }, json: { error: 'temporarily_unavailable' } });
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401, 503]));
  expect((await at.token(client)).status).toBe(200);
  await busy.close();
});
