import { createKeyRing } from '../../src/credentials/key-ring.ts';
import { createLog } from '../../src/observability/log.ts';
import { generateRootKey } from '../../src/storage/open-database.ts';
import { connectPostgres } from '../../src/storage/postgres.ts';
import { connectRedis } from '../../src/storage/redis.ts';
import { sweepBatch } from '../../src/storage/sweep.ts';
import { createRedisTokenStore } from '../../src/tokens/redis-token-store.ts';
import type { TokenRecord } from '../../src/tokens/token-record.ts';
import { createTokenRecordCodec } from '../../src/tokens/token-record-codec.ts';
import { createDatabaseTokenStore, type TokenStore } from '../../src/tokens/token-store.ts';
import { eventually } from '../eventually.ts';
import '../patient-stores.ts';
import { createTestDatabase, createTestRedis } from '../services.ts';

type Opened = { store: TokenStore; removeEnded: () => Promise<unknown>; close: () => Promise<void> };

const log = createLog('silent');
const codec = createTokenRecordCodec(createKeyRing(generateRootKey()));
const kinds: [string, () => Promise<Opened>][] = [
  [
    'Redis',
    async () => {
      const { url, prefix } = createTestRedis();
      const redis = await connectRedis(url, log);
      return {
        store: createRedisTokenStore(redis, codec, { prefix }),
        removeEnded: async () => undefined,
        close: async () => redis.disconnect(),
      };
    },
  ],
  [
    'the database',
    async () => {
      const database = connectPostgres({ connectionString: await createTestDatabase(), log });
      return {
        store: createDatabaseTokenStore(database, codec),
        removeEnded: () => sweepBatch(database, 'access_tokens'),
        close: database.close,
      };
    },
  ],
];

let made = 0;
const nowSeconds = () => Math.floor(Date.now() / 1_000);

function record(more: Partial<TokenRecord> = {}): TokenRecord {
  made += 1;
  return {
    jti: `jti-${made}`,
    clientId: 'kti_0000000000000000000000',
    epoch: 0,
    generation: 1,
    issuedAt: Date.now(),
    expiresAt: nowSeconds() + 3_600,
    scope: undefined,
    scopeVersions: undefined,
    resource: undefined,
    accessKey: undefined,
    confirmation: undefined,
    ...more,
  };
}

describe.each(kinds)('access tokens in %s', (_kind, open) => {
  let opened: Opened;
  beforeAll(async () => {
    opened = await open();
  });
  afterAll(() => opened.close());

  test.each<[string, Partial<TokenRecord>]>([
    ['no requested scope', {}],
    ['an empty scope', { scope: '' }],
    ['a scope and a resource', { scope: 'orders:read products:read', resource: 'https://api.example' }],
    ['an access key', { accessKey: { id: '3f0c1c1e-52a4-4b53-9a0f-0d8f3c7a2b11', epoch: 2, generation: 3 } }],
    ['a bound key', { confirmation: { jkt: '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I' } }],
    ['generation 0 and a later epoch', { generation: 0, epoch: 7 }],
  ])('a record with %s is read as it was saved', async (_what, more) => {
    const saved = record(more);
    await opened.store.save(saved, saved.issuedAt);
    expect(await opened.store.find(saved.jti)).toEqual(saved);
  });

  test('a missing or removed record is not found, and removing twice is not an error', async () => {
    const saved = record();
    expect(await opened.store.find(saved.jti)).toBeUndefined();
    await opened.store.save(saved, saved.issuedAt);
    await opened.store.remove(saved.jti);
    await opened.store.remove(saved.jti);
    expect(await opened.store.find(saved.jti)).toBeUndefined();
  });

  test('a record is deleted once its token has expired, and not before', async () => {
    const ending = record({ expiresAt: nowSeconds() + 2 });
    await opened.store.save(ending, Date.now());
    await opened.removeEnded();
    expect(await opened.store.find(ending.jti)).toBeDefined();
    await eventually(async () => {
      await opened.removeEnded();
      return (await opened.store.find(ending.jti)) === undefined;
    });
    expect(nowSeconds()).toBeGreaterThanOrEqual(ending.expiresAt);
  });

  test('concurrent saves keep all records', async () => {
    const records = Array.from({ length: 100 }, () => record());
    await Promise.all(records.map((each) => opened.store.save(each, each.issuedAt)));
    const found = await Promise.all(records.map((each) => opened.store.find(each.jti)));
    expect(found).toEqual(records);
  });

  test('ping resolves', async () => {
    await expect(opened.store.ping()).resolves.toBeUndefined();
  });
});

test('a record is read with every version of the root key in the ring, and with no other', () => {
  const [first, second] = [generateRootKey('v1'), generateRootKey('v2')];
  const saved = record({ scope: 'orders:read' });
  const text = createTokenRecordCodec(createKeyRing(first)).encode(saved);
  const read = (ring: string) => createTokenRecordCodec(createKeyRing(ring)).decode(saved.jti, text);
  expect(read(`${second},${first}`)).toEqual(saved);
  expect(read(second)).toBeUndefined();
  expect(read(generateRootKey('v1'))).toBeUndefined();
});
