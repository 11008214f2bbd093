import { Redis } from 'ioredis';
import { decodeJwt } from 'jose';
import { updateClient } from '../../src/clients/manage-clients.ts';
import { generateSecret } from '../../src/credentials/credential-format.ts';
import { createKeyRing } from '../../src/credentials/key-ring.ts';
import { createTextSigner } from '../../src/credentials/signed-value.ts';
import { generateRootKey } from '../../src/storage/open-database.ts';
import { privateClaims } from '../../src/tokens/jwt-access-token.ts';
import { tokenId } from '../../src/tokens/token-store.ts';
import { createTestStores, startTestServer, type TestServer } from '../harness.ts';
import { makeDpopProof, makePair } from '../oauth/assertion.ts';
import { actor, endpointsOf, inactive, register, registerAll, type TestClient } from '../oauth/fixture.ts';

const now = Date.now();
let server: TestServer;
let api: ReturnType<typeof endpointsOf>;
let clients: Awaited<ReturnType<typeof registerAll>>;
let redis: Redis;

beforeAll(async () => {
  server = await startTestServer({ clock: () => now });
  api = endpointsOf(server.publicUrl);
  clients = await registerAll(server.core);
  redis = new Redis(server.stores.redisUrl);
});

afterAll(async () => {
  redis?.disconnect();
  await server?.close();
});

const keyOf = (token: string) => server.stores.redisPrefix + tokenId(token);

/** Writes a record without authentication, as versions before authenticated records did. */
async function writeRecord(client: TestClient, { issuedAt = now, seconds = 3_600 } = {}): Promise<string> {
  const token = generateSecret('kta_');
  const known = await server.core.clients.find(client.id);
  const record = [client.id, known?.client.tokenEpoch, 1, issuedAt, Math.floor(issuedAt / 1_000) + seconds];
  await redis.set(keyOf(token), JSON.stringify(record), 'EX', 7_200);
  return token;
}

/** Introspects a token with a plain request and with one that only the application behind the fast path answers. */
async function introspect(token: string, at = api): Promise<unknown[]> {
  const answers = [await at.introspect(clients.orders, token), await at.introspect(clients.orders, token, { x: 'y' })];
  return answers.map(({ json }) => json['active']);
}

describe('an attacker who can write to Redis but has no root key', () => {
  it('cannot forge a token, because a record that the server did not write is inactive', async () => {
    const token = await writeRecord(clients.shop);
    expect((await api.introspect(clients.orders, token)).text).toBe(inactive);
    expect(await introspect(token)).toEqual([false, false]);
  });

  it("cannot forge a token from another token's record", async () => {
    const stolen = (await redis.getBuffer(keyOf(await api.accessToken(clients.shop)))) as Buffer;
    const token = generateSecret('kta_');
    await redis.set(keyOf(token), stolen);
    expect(await introspect(token)).toEqual([false, false]);
  });

  it('cannot change any byte of a record', async () => {
    const token = await api.accessToken(clients.shop, { scope: 'orders:read' });
    const record = (await redis.getBuffer(keyOf(token))) as Buffer;
    for (const at of record.keys()) {
      const changed = Buffer.from(record);
      changed[at] = (changed[at] as number) ^ 1;
      await redis.set(keyOf(token), changed);
      expect([at, await introspect(token)]).toEqual([at, [false, false]]);
    }
    await redis.set(keyOf(token), record);
    expect(await introspect(token)).toEqual([true, true]);
  });

  it('cannot shorten or extend a record', async () => {
    const token = await api.accessToken(clients.shop, { scope: 'orders:read' });
    const record = (await redis.getBuffer(keyOf(token))) as Buffer;
    const longer = Buffer.concat([record, Buffer.from([0])]);
    for (const changed of [longer, ...[...record.keys()].map((end) => record.subarray(0, end))]) {
      await redis.set(keyOf(token), changed);
      expect([changed.length, await introspect(token)]).toEqual([changed.length, [false, false]]);
    }
  });

  it('cannot cause an error with a value that is not a record', async () => {
    const token = generateSecret('kta_');
    for (const text of [
      '',
      'x',
      '{}',
      '[',
      '[1]',
      `["${'a'.repeat(10_000)}"]`,
      '\u0001',
      '\u0001\u0002v1',
      '\u0001\u007f',
    ]) {
      await redis.set(keyOf(token), text);
      expect(await introspect(token)).toEqual([false, false]);
    }
  });
});

describe('a client whose tokens must be bound', () => {
  it.each([
    ['a key (DPoP)', { dpopBoundTokens: true }],
    ['a certificate', { certificateBoundTokens: true }],
  ])('has no live token without a binding to %s', async (_what, patch) => {
    const client = await register(server.core, { name: 'Bound', kind: 'integration', scope: 'orders:read' });
    const token = await api.accessToken(client);
    expect(await introspect(token)).toEqual([true, true]);
    await server.core.change((transaction) => updateClient(transaction, server.core, actor, client.id, patch));
    expect(await introspect(token)).toEqual([false, false]);
  });

  it('keeps a token that is bound to a key', async () => {
    const input = { kind: 'integration', scope: 'orders:read', dpopBoundTokens: true } as const;
    const partner = await register(server.core, { name: 'Bound', ...input });
    const pair = await makePair();
    const htu = 'http://localhost:4000/oauth2/token';
    const ask = async (nonce?: string) =>
      await api.token(
        partner,
        { scope: 'orders:read' },
        { headers: { DPoP: await makeDpopProof(pair, { htu, nonce }) } },
      );
    const { json } = await ask((await ask()).headers['dpop-nonce'] as string);
    expect(await introspect(json['access_token'] as string)).toEqual([true, true]);
  });
});

describe('unauthenticated token records of the previous version', () => {
  it('are accepted until an hour after the migration, with a normal lifetime and until they expire', async () => {
    const { database } = server.core;
    await database.query('INSERT INTO authenticated_token_records VALUES ($1)', [new Date(now)]);
    let ahead = 0;
    const minute = 60_000;
    const start = () => startTestServer({ stores: server.stores, clock: () => now + ahead });
    const migrated = await start();
    const at = endpointsOf(migrated.publicUrl);
    const [earlier, rolling, later, longer] = [
      await writeRecord(clients.shop, { issuedAt: now - 10 * minute }),
      await writeRecord(clients.shop, { issuedAt: now + 59 * minute }),
      await writeRecord(clients.shop, { issuedAt: now + 61 * minute }),
      await writeRecord(clients.shop, { issuedAt: now, seconds: 3_700 }),
    ];
    expect(await introspect(earlier, at)).toEqual([true, true]);
    expect(await introspect(rolling, at)).toEqual([true, true]);
    expect(await introspect(later, at)).toEqual([false, false]);
    expect(await introspect(longer, at)).toEqual([false, false]);

    // Meanwhile the previous version can read new tokens too, which do not gain scope either.
    const { core } = server;
    await register(core, {
      name: 'JWT API',
      kind: 'resource_server',
      resource: 'https://jwt.example',
      information: ['jwt'],
      tokenFormat: 'jwt',
    });
    const reader = await register(core, { name: 'Reader', kind: 'integration', scope: 'jwt:read' });
    const claims = decodeJwt(await at.accessToken(reader));
    expect(claims).toMatchObject({ epoch: 0, generation: 1, [privateClaims]: { epoch: 0, generation: 1 } });
    const buyer = await register(core, { name: 'Buyer', kind: 'integration', scope: 'orders:read' });
    const opaque = await at.accessToken(buyer);
    const record = JSON.parse((await redis.get(keyOf(opaque))) as string) as unknown[];
    expect(record.slice(0, 6)).toEqual([buyer.id, 0, 1, now, Math.floor(now / 1_000) + 3_600, 'orders:read']);
    await migrated.close();

    ahead = 121 * minute;
    const afterwards = await start();
    const last = await writeRecord(clients.shop, { issuedAt: now + ahead });
    expect(await introspect(last, endpointsOf(afterwards.publicUrl))).toEqual([false, false]);
    await afterwards.close();
  });

  it('are rejected in a new database', async () => {
    const stores = await createTestStores();
    const fresh = await startTestServer({ stores });
    expect(await fresh.core.database.query('SELECT since FROM authenticated_token_records')).toEqual([]);
    await fresh.close();
  });
});

test('the record of a token takes at most 60 bytes of Redis, regardless of its default scope', async () => {
  // 60 bytes are 64 with Redis' own, which is a size of its allocator; one byte more takes 16 bytes more.
  const { core } = server;
  const items = ['orders', 'products'].flatMap((kind) =>
    ['create', 'read', 'update', 'delete'].map((action) => `${kind}:${action}`),
  );
  await core.change((tx) => updateClient(tx, core, actor, clients.shop.id, { scope: items.join(' ') }));
  const token = await api.accessToken(clients.shop);
  expect((await api.introspect(clients.orders, token)).json['scope']).toBe(items.join(' '));
  expect(await redis.strlen(keyOf(token))).toBeLessThanOrEqual(60);
});

test('an attacker who can write to Redis cannot make a server that starts repeat the end of what never ended', async () => {
  const stores = await createTestStores();
  const first = await startTestServer({ stores });
  const { shop } = await registerAll(first.core);
  const known = await first.core.clients.find(shop.id);
  const [stream = ''] = await redis.keys(`${stores.redisPrefix}changes:*`);
  await first.close();
  const end = Date.now() + 3_600_000;
  const entry = JSON.stringify({
    f: 'x',
    c: [
      [9_000, 'client', shop.id, end],
      [9_001, 'disabled_client', known?.client.id, end],
      [9_002, 'ended_secret', known?.secrets[0]?.id, end],
    ],
  });
  const signed = createTextSigner(createKeyRing(generateRootKey()), 'announcement').sign(stream, entry);
  for (const forged of [entry, signed, signed.replace(/[^.]*$/, '')]) await redis.xadd(stream, '*', 'm', forged);
  const second = await startTestServer({ stores });
  try {
    expect((await endpointsOf(second.publicUrl).token(shop)).status).toBe(200);
    const events = await second.core.database.query(
      `SELECT FROM audit_events WHERE action = 'deployment.changes_lost'`,
    );
    expect(events).toEqual([]);
  } finally {
    await second.close();
  }
});

test('the record of a token with ten requested scopes of 20 characters takes at most 240 bytes of Redis', async () => {
  const { core } = server;
  const names = Array.from({ length: 10 }, (_, index) => `warehouse.orders:x${index}`.padEnd(20, '~'));
  const scopes = names.map((name) => ({ name, description: 'Some' }));
  await core.change((tx) => updateClient(tx, core, actor, clients.orders.id, { scopes }));
  await core.change((tx) => updateClient(tx, core, actor, clients.shop.id, { scope: names.join(' ') }));
  // Each length leaves another number of unused bits in the last byte of the record.
  for (let count = 10; count > 0; count -= 1) {
    const scope = names.slice(0, count).join(' ');
    const token = await api.accessToken(clients.shop, { scope });
    expect(await redis.strlen(keyOf(token))).toBeLessThanOrEqual(240);
    const answer = await api.introspect(clients.orders, token);
    expect(answer.json).toMatchObject({ active: true, scope });
  }
});
