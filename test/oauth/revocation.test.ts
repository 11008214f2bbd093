import { Redis } from 'ioredis';
import { deleteClient, disableClient } from '../../src/clients/manage-clients.ts';
import { generateSecret } from '../../src/credentials/credential-format.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { passTime } from '../pass-time.ts';
import { askPostgres } from '../services.ts';
import { actor, endpointsOf, inactive, register, registerAll } from './fixture.ts';
import { post } from './http-client.ts';

let server: TestServer;
let clients: Awaited<ReturnType<typeof registerAll>>;
let api: ReturnType<typeof endpointsOf>;
let redis: Redis;

beforeAll(async () => {
  server = await startTestServer({ env: { KEYTURN_FAILURES_PER_MINUTE: '0' } });
  clients = await registerAll(server.core);
  api = endpointsOf(server.publicUrl);
  redis = new Redis(server.stores.redisUrl);
});

afterAll(async () => {
  redis?.disconnect();
  await server?.close();
});

const isActive = async (token: string) => (await api.introspect(clients.orders, token)).json['active'];

describe('revoking a token', () => {
  it('ends it, with an empty answer that is not cached', async () => {
    const token = await api.accessToken(clients.shop);
    const answer = await api.revoke(clients.shop, token);
    expect(answer).toMatchObject({ status: 200, text: '{}' });
    expect(answer.headers).toMatchObject({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
    expect((await api.introspect(clients.orders, token)).text).toBe(inactive);
  });

  it('is committed to PostgreSQL before the answer', async () => {
    const token = await api.accessToken(clients.shop);
    const { json } = await api.introspect(clients.orders, token);
    await api.revoke(clients.shop, token);
    const rows = await askPostgres(
      server.stores.databaseUrl,
      `SELECT target FROM changes WHERE kind = 'token' AND target = '${json['jti']}'`,
    );
    expect(rows).toHaveLength(1);
  });

  it('does not end other tokens', async () => {
    const [first, second] = [await api.accessToken(clients.shop), await api.accessToken(clients.shop)];
    await api.revoke(clients.shop, first);
    expect(await isActive(second)).toBe(true);
  });

  it('succeeds again, so that a retry after a lost answer is not an error', async () => {
    const token = await api.accessToken(clients.shop);
    expect((await api.revoke(clients.shop, token)).status).toBe(200);
    expect((await api.revoke(clients.shop, token)).status).toBe(200);
    expect(await isActive(token)).toBe(false);
  });

  it('succeeds 50 times concurrently', async () => {
    const token = await api.accessToken(clients.shop);
    const answers = await Promise.all(Array.from({ length: 50 }, () => api.revoke(clients.shop, token)));
    expect(answers.map(({ status }) => status)).toEqual(Array(50).fill(200));
    expect(await isActive(token)).toBe(false);
  });

  it('ends 50 different tokens concurrently', async () => {
    const tokens = await Promise.all(Array.from({ length: 50 }, () => api.accessToken(clients.shop)));
    const answers = await Promise.all(tokens.map((token) => api.revoke(clients.shop, token)));
    expect(answers.map(({ status }) => status)).toEqual(Array(50).fill(200));
    expect(await Promise.all(tokens.map(isActive))).toEqual(Array(50).fill(false));
  });

  it('of another client is rejected, and that token stays valid (RFC 7009 §2.1)', async () => {
    const token = await api.accessToken(clients.shop);
    for (const other of [clients.partner, clients.bare, clients.orders]) {
      const answer = await api.revoke(other, token);
      expect(answer).toMatchObject({ status: 400, json: { error: 'invalid_grant' } });
      expect(answer.headers['cache-control']).toBe('no-store');
    }
    expect(await isActive(token)).toBe(true);
  });

  it.each([
    ['unknown', generateSecret('kta_')],
    ['malformed', 'x'],
    ['a wildcard', '*'],
    ['a hash tag', '{tag}'],
    ['with a line break', 'x\r\nDEL *\r\n'],
    ['named like a member of every object', '__proto__'],
    ['shaped like a JWT', 'e30.e30.AAAA'],
    ['of 10 kB', 'x'.repeat(10_000)],
  ])('that is %s succeeds, so that the answer reveals nothing about tokens (RFC 7009 §2.2)', async (_, token) => {
    expect(await api.revoke(clients.shop, token)).toMatchObject({ status: 200, text: '{}' });
  });

  it('stores nothing if the token was never issued', async () => {
    const kept = async () => {
      const [row] = await askPostgres(
        server.stores.databaseUrl,
        `SELECT (SELECT count(*) FROM changes)::int AS changes, (SELECT count(*) FROM unseen_revocations)::int AS unseen`,
      );
      return row;
    };
    const before = await kept();
    for (let count = 0; count < 20; count += 1) {
      expect(await api.revoke(clients.shop, generateSecret('kta_'))).toMatchObject({ status: 200, text: '{}' });
    }
    expect(await kept()).toEqual(before);
  });

  it('is limited for each client, with Retry-After', async () => {
    const limited = await startTestServer({ env: { KEYTURN_REVOCATIONS_PER_MINUTE: '3' } });
    const { shop, partner } = await registerAll(limited.core);
    const { revoke } = endpointsOf(limited.publicUrl);
    const answers = [];
    for (let count = 0; count < 6; count += 1) answers.push(await revoke(shop, generateSecret('kta_')));
    expect(answers.at(-1)).toMatchObject({ status: 429 });
    expect(Number(answers.at(-1)?.headers['retry-after'])).toBeGreaterThan(0);
    expect(await revoke(partner, generateSecret('kta_'))).toMatchObject({ status: 200 });
    await limited.close();
  });

  it('succeeds with any token_type_hint (RFC 7009 §2.1)', async () => {
    for (const hint of ['access_token', 'refresh_token', 'unknown']) {
      const token = await api.accessToken(clients.shop);
      expect((await api.revoke(clients.shop, token, { token_type_hint: hint })).status).toBe(200);
      expect(await isActive(token)).toBe(false);
    }
  });

  it('of a deleted client changes nothing, because the token has ended already', async () => {
    const { core } = server;
    const gone = await register(core, { name: 'Gone', kind: 'integration', scope: 'orders:read' });
    const token = await api.accessToken(gone);
    await core.change(async (transaction) => {
      await disableClient(transaction, core, actor, gone.id);
      await deleteClient(transaction, core, actor, gone.id);
    });
    expect(await api.revoke(gone, token)).toMatchObject({ status: 401 });
    expect(await isActive(token)).toBe(false);
  });

  it('is rejected without client authentication, so that a stolen list of tokens cannot be used to revoke them', async () => {
    const token = await api.accessToken(clients.shop);
    expect(await post(api.revocationUrl, { token })).toMatchObject({ status: 401, json: { error: 'invalid_client' } });
    expect(await isActive(token)).toBe(true);
  });

  it('without a token is an invalid request', async () => {
    const answer = await api.revoke(clients.shop, '');
    expect(answer).toMatchObject({ status: 400, json: { error: 'invalid_request' } });
  });
});

describe('a revoked token stays revoked', () => {
  /** Returns all keys of this deployment in Redis, as a snapshot contains them. */
  async function snapshot(): Promise<Map<string, Buffer>> {
    const keys = await redis.keys(`${server.stores.redisPrefix}*`);
    return new Map(await Promise.all(keys.map(async (key) => [key, await redis.dumpBuffer(key)] as const)));
  }

  it('after Redis restarts empty and is restored from before the revocation', async () => {
    const revoked = await api.accessToken(clients.shop);
    const live = await api.accessToken(clients.shop);
    const before = await snapshot();
    await api.revoke(clients.shop, revoked);

    await redis.del(...before.keys());
    expect(await isActive(revoked)).toBe(false);
    // Lost tokens are inactive.
    expect(await isActive(live)).toBe(false);

    for (const [key, value] of before) await redis.restore(key, 3_600_000, value, 'REPLACE');
    expect(await isActive(live)).toBe(true);
    expect((await api.introspect(clients.orders, revoked)).text).toBe(inactive);
  });

  it('after a revocation while Redis had lost it, and a restore', async () => {
    const revoked = await api.accessToken(clients.shop);
    const foreign = await api.accessToken(clients.shop);
    const before = await snapshot();
    await redis.del(...before.keys());
    // Wait until the record is not cached any more, which takes up to a second.
    await passTime(1_100);
    expect(await api.revoke(clients.shop, revoked)).toMatchObject({ status: 200 });
    expect(await api.revoke(clients.partner, foreign)).toMatchObject({ status: 200 });
    for (const [key, value] of before) await redis.restore(key, 3_600_000, value, 'REPLACE');
    expect((await api.introspect(clients.orders, revoked)).text).toBe(inactive);
    // A revocation by another client has no effect.
    expect(await isActive(foreign)).toBe(true);
  });

  it('on a process that starts after the restore', async () => {
    const revoked = await api.accessToken(clients.shop);
    const before = await snapshot();
    await api.revoke(clients.shop, revoked);
    for (const [key, value] of before) await redis.restore(key, 3_600_000, value, 'REPLACE');
    const later = await startTestServer({ stores: server.stores });
    const { introspect } = endpointsOf(later.publicUrl);
    expect((await introspect(clients.orders, revoked)).text).toBe(inactive);
    await later.close();
  });
});
