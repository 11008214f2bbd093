import { Redis } from 'ioredis';
import pg from 'pg';
import { createLog } from '../../src/observability/log.ts';
import { generateRootKey } from '../../src/storage/open-database.ts';
import { connectRedis } from '../../src/storage/redis.ts';
import { type Environment, ended, printed, runCommand, startCommand } from '../cli/run-command.ts';
import { eventually } from '../eventually.ts';
import { type ProgramGroup, startProgramGroup } from '../faults/program-group.ts';
import { documentedUser, redisServer } from '../faults/redis-topologies.ts';
import { freePort } from '../free-port.ts';
import { send } from '../oauth/http-client.ts';
import { testWith } from '../programs.ts';
import { askPostgres, createTestDatabase } from '../services.ts';

const test_ = testWith('Redis server');
const log = createLog('silent');
let group: ProgramGroup;
let host: string;
let sentinels: readonly string[];
let environment: Environment;

beforeAll(async () => {
  if (!redisServer) return;
  const [port, ...sentinelPorts] = [await freePort(), await freePort(), await freePort()];
  const listen = (on: number | undefined) => `port ${on}\nbind 127.0.0.1\n`;
  const withoutSelect = documentedUser('s3cret').replace('user keyturn', 'user unselecting').replace('+select', '');
  const watching = `sentinel monitor keyturn 127.0.0.1 ${port} 1\n`;
  group = await startProgramGroup(
    {
      redis: `exec "${redisServer}" ./redis.conf`,
      sentinel: `exec "${redisServer}" ./sentinel.conf --sentinel`,
      guarded: `exec "${redisServer}" ./guarded.conf --sentinel`,
    },
    {
      'redis.conf': `${listen(port)}save ""\nappendonly no\n${documentedUser('s3cret')}\n${withoutSelect}\n`,
      'sentinel.conf': listen(sentinelPorts[0]) + watching,
      'guarded.conf': `${listen(sentinelPorts[1])}requirepass s3ntinel\n${watching}`,
    },
  );
  for (const name of ['redis', 'sentinel', 'guarded']) await group.start(name);
  host = `127.0.0.1:${port}`;
  sentinels = sentinelPorts.map((on) => `127.0.0.1:${on}`);
  await withAdmin((redis) => redis.ping());
  environment = {
    DATABASE_URL: await createTestDatabase(),
    KEYTURN_ROOT_KEY: generateRootKey(),
    KEYTURN_ISSUER: 'https://auth.example.com',
    KEYTURN_PORT: '0',
    KEYTURN_ADMIN_PORT: '0',
  };
});

afterAll(() => group?.stop());

/** Sends commands to the same Redis as a user with all privileges. */
async function withAdmin<T>(work: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(`redis://${host}`);
  redis.on('error', () => undefined);
  try {
    return await work(redis);
  } finally {
    redis.disconnect();
  }
}

async function startAndDoctor(redisUrl: string) {
  const env = { ...environment, REDIS_URL: redisUrl };
  const [start, doctor] = await Promise.all([runCommand(['start'], env), runCommand(['doctor', '--json'], env)]);
  const { checks } = JSON.parse(doctor.stdout) as { checks: { status: string; message: string }[] };
  const failed = checks.filter(({ status }) => status === 'fail').map(({ message }) => message);
  return { codes: [start.code, doctor.code], start: start.stderr, failed };
}

describe('a connection that Redis does not set up according to REDIS_URL', () => {
  test_.each([
    ['a database that does not exist', () => `redis://${host}/99`, 'cannot select database 99'],
    ['a user that may not select', () => `redis://unselecting:s3cret@${host}/1`, 'Grant the user +select'],
    ['a password where none is needed', () => `redis://:s3cret@${host}`, 'Redis needs no password'],
    [
      'a Sentinel that wants a password',
      () => `redis+sentinel://${sentinels.join(',')}/keyturn`,
      'Correct sentinel_username and sentinel_password',
    ],
    [
      'a database that does not exist, behind Sentinel',
      () => `redis+sentinel://${sentinels[0]}/keyturn/99`,
      'cannot select database 99',
    ],
    ['a Sentinel that is not there', () => 'redis+sentinel://127.0.0.1:1/keyturn', 'redis'],
  ])('is rejected by start and doctor: %s', async (_, url, says) => {
    const { codes, start, failed } = await startAndDoctor(url());
    expect(codes).toEqual([1, 1]);
    expect(start).toContain(says);
    expect(failed).toEqual([expect.stringContaining(says)]);
    expect(start + failed).not.toContain('s3cret');
  });

  test_('is never used with another database after it reconnected', async () => {
    const redis = (await connectRedis(`redis://keyturn:s3cret@${host}/1`, log)) as Redis;
    await redis.set('kt:here', 'one', 'PX', 60_000);
    await withAdmin(async (admin) => {
      await admin.call('ACL', 'SETUSER', 'keyturn', '-select');
      await admin.call('CLIENT', 'KILL', 'USER', 'keyturn');
    });
    const seen: unknown[] = [];
    await eventually(async () => {
      seen.push(await redis.get('kt:here').catch((error: Error) => error.message));
      return await withAdmin(async (admin) => String(await admin.call('ACL', 'LOG')).includes('select'));
    });
    for (let round = 0; round < 20; round++) {
      seen.push(await redis.get('kt:here').catch((error: Error) => error.message));
    }
    // Reads fail or come from the old connection; they never return the empty result of database 0.
    expect(seen).not.toContain(null);
    await withAdmin((admin) => admin.call('ACL', 'SETUSER', 'keyturn', '+select'));
    await eventually(async () => (await redis.get('kt:here').catch(() => undefined)) === 'one');
    redis.disconnect();
  });
});

describe('a connection according to REDIS_URL', () => {
  test_('uses the database of the URL, with the documented user', async () => {
    const redis = (await connectRedis(`redis://keyturn:s3cret@${host}/3`, log)) as Redis;
    await redis.set('kt:there', '3', 'PX', 60_000);
    redis.disconnect();
    const found = await withAdmin(async (admin) => {
      await admin.select(3);
      return await admin.get('kt:there');
    });
    expect(found).toBe('3');
  });

  test_('is set up by Sentinels with and without a password', async () => {
    const redis = await connectRedis(`redis+sentinel://${sentinels[0]}/keyturn`, log);
    redis.disconnect();
    const guarded = await connectRedis(`redis+sentinel://${sentinels[1]}/keyturn?sentinel_password=s3ntinel`, log);
    guarded.disconnect();
  });
});

describe('a start that has to wait', () => {
  test_.each([
    ['changes', 'the change feed', '1'],
    ['signing_keys', 'the signing keys', '1'],
    ['changes', 'the change feed', '2'],
  ])(
    'tells its step in the log and in /readyz, and then continues: %s, %s, %s workers',
    async (table, waitsFor, workers) => {
      const databaseUrl = await createTestDatabase();
      const holder = new pg.Client({ connectionString: databaseUrl });
      await holder.connect();
      await holder.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
      const [port, adminPort] = [await freePort(), await freePort()];
      const ports = { KEYTURN_PORT: String(port), KEYTURN_ADMIN_PORT: String(adminPort), KEYTURN_WORKERS: workers };
      const stores = { DATABASE_URL: databaseUrl, ...(workers === '1' ? {} : { REDIS_URL: `redis://${host}` }) };
      const server = startCommand(['start'], { ...environment, ...ports, ...stores });
      const end = ended(server);
      const ask = (on: number, path: string, method = 'GET') =>
        send(`http://127.0.0.1:${on}${path}`, { method, headers: { Host: 'auth.example.com' } });
      await printed(server, 'start is waiting');
      const readiness = await ask(port, '/readyz');
      expect(readiness).toMatchObject({ status: 503, json: { status: 'starting', starting: [waitsFor] } });
      expect(await ask(port, '/healthz')).toMatchObject({ status: 200, json: { status: 'ok' } });
      // As if the port were not open yet, so that a proxy sends the request to another process.
      await expect(ask(port, '/oauth2/token', 'POST')).rejects.toThrow();
      await expect(ask(adminPort, '/admin/v1/clients')).rejects.toThrow();
      await holder.query('COMMIT');
      await holder.end();
      await printed(server, 'Keyturn is ready');
      expect(await ask(port, '/readyz')).toMatchObject({ status: 200, json: { status: 'ready' } });
      expect((await ask(port, '/oauth2/token', 'POST')).status).toBe(401);
      expect((await ask(adminPort, '/admin/v1/clients')).status).not.toBe(503);
      server.kill('SIGTERM');
      const { code, stdout } = await end;
      expect(code).toBe(0);
      expect(stdout).toContain(`"waits_for":"${waitsFor}"`);
      expect(stdout).toContain(`"waited_for":"${waitsFor}"`);
    },
  );
});

describe('a start that fails', () => {
  const rename = (table: string) => `ALTER TABLE ${table} RENAME TO ${table}_elsewhere`;

  test_.each([
    ['after it connected to Redis, at the change feed', rename('changes')],
    ['after the change feed, at the signing keys', rename('signing_keys')],
  ])('exits with 1 %s', async (_, sql) => {
    const databaseUrl = await createTestDatabase();
    await askPostgres(databaseUrl, sql);
    const ended = await runCommand(['start'], {
      ...environment,
      DATABASE_URL: databaseUrl,
      REDIS_URL: `redis://${host}`,
    });
    expect(ended).toMatchObject({ code: 1, stderr: expect.stringContaining('does not exist') });
  });

  test_.each(['KEYTURN_PORT', 'KEYTURN_ADMIN_PORT'])('exits with 1 if the port of %s is in use', async (name) => {
    const taken = host.split(':')[1] as string;
    const env = { ...environment, REDIS_URL: `redis://${host}`, KEYTURN_HOST: '127.0.0.1', [name]: taken };
    expect(await runCommand(['start'], env)).toMatchObject({ code: 1, stderr: expect.stringContaining('is taken') });
  });
});
