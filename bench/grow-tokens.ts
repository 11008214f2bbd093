import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { checkAnswers } from './check-answers.ts';
import { createDeployment } from './keyturn-deployment.ts';
import { startKeyturn } from './keyturn-target.ts';
import type { Table } from './table.ts';

const sizes = [100_000, 1_000_000, 10_000_000] as const;
const together = 10_000;

/**
 * Measures Redis memory per live token. The first token is issued; the others are copies of its record under other keys
 * of the same form, because only the store is measured.
 */
export async function growTokens(stores: { databaseUrl: string; redisUrl: string }): Promise<Table> {
  await using ends = new AsyncDisposableStack();
  const deployment = await createDeployment(stores, 1);
  ends.defer(() => deployment.remove());
  const redis = new Redis(stores.redisUrl);
  ends.defer(() => void redis.disconnect());
  await redis.flushall();
  const keyturn = await startKeyturn(deployment, 'keyturn');
  ends.defer(() => keyturn.stop());
  await checkAnswers(keyturn);
  const [key] = await redis.keys('kt:*');
  const record = key && (await redis.getBuffer(key));
  if (!key || !record) throw new Error('no token is in Redis');
  const idLength = key.length - 'kt:'.length;

  await redis.flushall();
  const before = await usedBytes(redis);
  const rows: string[][] = [];
  let live = 0;
  for (const tokens of sizes) {
    for (; live < tokens; live += together) {
      const pipeline = redis.pipeline();
      for (let count = 0; count < together; count++) {
        const id = randomBytes(idLength).toString('base64url').slice(0, idLength);
        pipeline.set(`kt:${id}`, record, 'EX', 3600);
      }
      await pipeline.exec();
    }
    const bytes = (await usedBytes(redis)) - before;
    rows.push([String(tokens), (bytes / tokens).toFixed(0), (bytes / 1e6).toFixed(0)]);
  }
  await redis.flushall();
  return { title: 'Live tokens in Redis', head: ['tokens', 'bytes a token', 'MB in all'], rows };
}

async function usedBytes(redis: Redis): Promise<number> {
  return Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))?.[1]);
}
