import type { Cluster, Redis } from 'ioredis';
import { StoreUnavailable } from '../errors.ts';
import { decodeTokenRecord, encodeTokenRecord, type TokenStore } from './token-store.ts';

/** Access tokens in Redis, each under `prefix` and its SHA-256, ending by themselves with their TTL. */
export function createRedisTokenStore(
  redis: Redis | Cluster,
  { prefix = 'kt:' }: { prefix?: string } = {},
): TokenStore {
  return {
    name: 'redis',
    async save(record, now) {
      const seconds = Math.max(1, Math.ceil(record.expiresAt - now / 1_000));
      await redis.set(prefix + record.jti, encodeTokenRecord(record), 'EX', seconds).catch(unavailable);
    },
    async find(jti) {
      const text = await redis.get(prefix + jti).catch(unavailable);
      return text === null ? undefined : decodeTokenRecord(jti, text);
    },
    async remove(jti) {
      await redis.del(prefix + jti).catch(unavailable);
    },
    async ping() {
      await redis.ping().catch(unavailable);
    },
  };
}

function unavailable(error: Error): never {
  throw new StoreUnavailable('redis', error.message, error);
}
