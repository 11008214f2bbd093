import { createLog } from '../../src/observability/log.ts';
import { connectRedis } from '../../src/storage/redis.ts';
import { eventually } from '../eventually.ts';
import { createTestStores } from '../harness.ts';
import { describeWith } from '../programs.ts';
import { type Load, startLoad, zeros } from './load.ts';
import { type RedisGroup, startRedisCluster, startSentinelTrio } from './redis-topologies.ts';

const log = createLog('silent');
const describeWithRedis = describeWith('Redis server');

describeWithRedis.each([
  ['Sentinel', startSentinelTrio],
  ['Cluster', startRedisCluster],
])('with Redis %s', (topology, startTopology) => {
  let redis: RedisGroup;
  let load: Load;

  beforeAll(async () => {
    redis = await startTopology();
    load = await startLoad({ stores: { ...(await createTestStores()), redisUrl: redis.url, redisPrefix: 'kt:' } });
  });

  afterAll(async () => {
    await load?.close();
    await redis?.stop();
  });

  /**
   * Kills or freezes a primary, and waits until another one has replaced it. Returns the name of the former primary.
   */
  async function lose(signal: 'SIGKILL' | 'SIGSTOP'): Promise<string> {
    const before = await redis.primaries();
    const victim = before[0] as string;
    // Replication is asynchronous, and a new replica starts late. This test does not cover writes that are lost before
    // that.
    await eventually(() => redis.isReplicated(victim));
    await redis.signal(victim, signal);
    await eventually(async () => (await redis.primaries()).some((name) => !before.includes(name)));
    return victim;
  }

  async function isReplica(name: string): Promise<boolean> {
    const text = String(await redis.ask(name, 'INFO', 'replication').catch(() => ''));
    return /role:slave/.test(text) && /master_link_status:up/.test(text);
  }

  it('a start fails if any primary may evict live tokens', async () => {
    const last = (await redis.primaries()).at(-1) as string;
    await redis.ask(last, 'CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
    await expect(connectRedis(redis.url, log)).rejects.toThrow(/maxmemory-policy allkeys-lru .*noeviction/);
    await redis.ask(last, 'CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
    (await connectRedis(redis.url, log)).disconnect();
  });

  it('a primary that is killed under load causes 503 until it is replaced, and no wrong response', async () => {
    let victim = '';
    const outcome = await load.during(`${topology}, primary killed`, async () => {
      victim = await lose('SIGKILL');
    });
    expect(outcome).toMatchObject(zeros);
    expect(outcome.answered).toBeGreaterThan(100);
    await redis.start(victim);
    await eventually(() => isReplica(victim));
  });

  it('a primary that freezes is replaced, and ignored when it resumes', async () => {
    const outcome = await load.during(`${topology}, primary frozen and back`, async (recovered) => {
      const victim = await lose('SIGSTOP');
      await recovered();
      await redis.signal(victim, 'SIGCONT');
      await eventually(() => isReplica(victim));
    });
    expect(outcome).toMatchObject(zeros);
  });

  if (topology === 'Cluster') {
    it('slots that move between primaries fail no request', async () => {
      const [from = '', to = ''] = await redis.primaries();
      const [fromId, toId] = [
        String(await redis.ask(from, 'CLUSTER', 'MYID')),
        String(await redis.ask(to, 'CLUSTER', 'MYID')),
      ];
      const nodes = String(await redis.ask(from, 'CLUSTER', 'NODES'));
      const own = nodes.split('\n').find((line) => line.startsWith(fromId)) ?? '';
      const first = Number(/ (\d+)-\d+/.exec(own)?.[1]);
      const outcome = await load.during('Cluster, slots moved', async () => {
        // Move 500 of its slots, so that many requests hit a slot that is being moved.
        const slots = Array.from({ length: 500 }, (_, index) => String(first + index));
        const chunk = 250;
        for (let at = 0; at < slots.length; at += chunk) {
          const some = slots.slice(at, at + chunk);
          for (const slot of some) {
            await redis.ask(to, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId);
            await redis.ask(from, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId);
          }
          for (const slot of some) {
            const keys = (await redis.ask(from, 'CLUSTER', 'GETKEYSINSLOT', slot, '1000')) as string[];
            const target = ['127.0.0.1', String(redis.ports[to]), '', '0', '5000', 'AUTH', redis.password];
            if (keys.length > 0) await redis.ask(from, 'MIGRATE', ...target, 'KEYS', ...keys);
            for (const name of [to, from]) await redis.ask(name, 'CLUSTER', 'SETSLOT', slot, 'NODE', toId);
          }
        }
      });
      expect(outcome).toMatchObject({ ...zeros, unavailable: 0 });
    });
  }
});
