import { Redis } from 'ioredis';
import { deleteClient, disableClient } from '../../src/clients/manage-clients.ts';
import { generateSecret } from '../../src/credentials/credential-format.ts';
import { startTestServer, type TestServer } from '../harness.ts';
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
  it('ends it, with an answer that says nothing and is not to be stored', async () => {
    const token = await api.accessToken(clients.shop);
    const answer = await api.revoke(clients.shop, token);
    expect(answer).toMatchObject({ status: 200, text: '{}' });
    expect(answer.headers).toMatchObject({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
    expect((await api.introspect(clients.orders, token)).text).toBe(inactive);
  });

  it('is durable before it is answered: it is in PostgreSQL, whatever becomes of this process', async () => {
    const token = await api.accessToken(clients.shop);
    const { json } = await api.introspect(clients.orders, token);
    await api.revoke(clients.shop, token);
    const rows = await askPostgres(
      server.stores.databaseUrl,
      `SELECT target FROM changes WHERE kind = 'token' AND target = '${json['jti']}'`,
    );
    expect(rows).toHaveLength(1);
  });

  it('ends that one alone', async () => {
    const [first, second] = [await api.accessToken(clients.shop), await api.accessToken(clients.shop)];
    await api.revoke(clients.shop, first);
    expect(await isActive(second)).toBe(true);
  });

  it('twice succeeds twice, so that a retry after a lost answer is no error', async () => {
    const token = await api.accessToken(clients.shop);
    expect((await api.revoke(clients.shop, token)).status).toBe(200);
    expect((await api.revoke(clients.shop, token)).status).toBe(200);
    expect(await isActive(token)).toBe(false);
  });

  it('50 times at once succeeds 50 times', async () => {
    const token = await api.accessToken(clients.shop);
    const answers = await Promise.all(Array.from({ length: 50 }, () => api.revoke(clients.shop, token)));
    expect(answers.map(({ status }) => status)).toEqual(Array(50).fill(200));
    expect(await isActive(token)).toBe(false);
  });

  it('50 different ones at once ends every one of them', async () => {
    const tokens = await Promise.all(Array.from({ length: 50 }, () => api.accessToken(clients.shop)));
    const answers = await Promise.all(tokens.map((token) => api.revoke(clients.shop, token)));
    expect(answers.map(({ status }) => status)).toEqual(Array(50).fill(200));
    expect(await Promise.all(tokens.map(isActive))).toEqual(Array(50).fill(false));
  });

  it('of another client is refused, and that token lives on (RFC 7009 §2.1)', async () => {
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
  ])(
    'that is %s succeeds: there is nothing left to revoke, and it must not be an oracle (RFC 7009 §2.2)',
    async (_, token) => {
      expect(await api.revoke(clients.shop, token)).toMatchObject({ status: 200, text: '{}' });
    },
  );

  it('leaves nothing behind if the token was never issued', async () => {
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

  it('is limited for each client, with a time to wait', async () => {
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

  it('succeeds whatever the caller believes it to be (RFC 7009 §2.1)', async () => {
    for (const hint of ['access_token', 'refresh_token', 'unknown']) {
      const token = await api.accessToken(clients.shop);
      expect((await api.revoke(clients.shop, token, { token_type_hint: hint })).status).toBe(200);
      expect(await isActive(token)).toBe(false);
    }
  });

  it('of a client that was deleted changes nothing: it is dead already', async () => {
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

  it('without client authentication is refused, or a stolen log of tokens would be a way to end them all', async () => {
    const token = await api.accessToken(clients.shop);
    expect(await post(api.revocationUrl, { token })).toMatchObject({ status: 401, json: { error: 'invalid_client' } });
    expect(await isActive(token)).toBe(true);
  });

  it('without naming one is an invalid request', async () => {
    const answer = await api.revoke(clients.shop, '');
    expect(answer).toMatchObject({ status: 400, json: { error: 'invalid_request' } });
  });
});

describe('a revoked token does not come back', () => {
  /** Everything of this deployment in Redis, as a snapshot would have it. */
  async function snapshot(): Promise<Map<string, Buffer>> {
    const keys = await redis.keys(`${server.stores.redisPrefix}*`);
    return new Map(await Promise.all(keys.map(async (key) => [key, await redis.dumpBuffer(key)] as const)));
  }

  it('when Redis restarts empty and is then restored from before the revocation', async () => {
    const revoked = await api.accessToken(clients.shop);
    const live = await api.accessToken(clients.shop);
    const before = await snapshot();
    await api.revoke(clients.shop, revoked);

    await redis.del(...before.keys());
    expect(await isActive(revoked)).toBe(false);
    // What is lost fails closed.
    expect(await isActive(live)).toBe(false);

    for (const [key, value] of before) await redis.restore(key, 3_600_000, value, 'REPLACE');
    expect(await isActive(live)).toBe(true);
    expect((await api.introspect(clients.orders, revoked)).text).toBe(inactive);
  });

  it('nor when it was revoked while Redis had lost it, and is then restored', async () => {
    const revoked = await api.accessToken(clients.shop);
    const foreign = await api.accessToken(clients.shop);
    const before = await snapshot();
    await redis.del(...before.keys());
    // The process may remember for a second what it has just seen.
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    expect(await api.revoke(clients.shop, revoked)).toMatchObject({ status: 200 });
    expect(await api.revoke(clients.partner, foreign)).toMatchObject({ status: 200 });
    for (const [key, value] of before) await redis.restore(key, 3_600_000, value, 'REPLACE');
    expect((await api.introspect(clients.orders, revoked)).text).toBe(inactive);
    // Whoever it does not belong to has not ended it.
    expect(await isActive(foreign)).toBe(true);
  });

  it('nor on a process that starts only after that', async () => {
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
