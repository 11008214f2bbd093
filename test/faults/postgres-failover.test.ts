import { setTimeout as delay } from 'node:timers/promises';
import { createLog } from '../../src/log.ts';
import { generateRootKey } from '../../src/storage/open-database.ts';
import { connectPostgres } from '../../src/storage/postgres.ts';
import { freePort } from '../free-port.ts';
import { askPostgres, createTestRedis } from '../services.ts';
import { type Load, startLoad, zeros } from './load.ts';
import { canStartPair, type PostgresPair, pgbouncer, startPostgresPair } from './postgres-pair.ts';
import { type ProgramGroup, startProgramGroup } from './program-group.ts';

const log = createLog('silent');
const describeWithPair = canStartPair ? describe : describe.skip;
const describeWithPooler = canStartPair && pgbouncer ? describe : describe.skip;

function storesOn(databaseUrl: string) {
  const { url: redisUrl, prefix: redisPrefix } = createTestRedis();
  return { databaseUrl, redisUrl, redisPrefix, rootKey: generateRootKey() };
}

describeWithPair('PostgreSQL with a synchronous standby', () => {
  let pair: PostgresPair;
  let load: Load;

  beforeAll(async () => {
    pair = await startPostgresPair();
    load = await startLoad({ stores: storesOn(pair.url) });
  }, 60_000);

  afterAll(async () => {
    await load?.close();
    await pair?.stop();
  });

  it('a standby is refused, by itself and behind the name of a primary', async () => {
    const database = connectPostgres({ connectionString: pair.urlOf('standby'), log });
    await expect(database.query('SELECT 1')).rejects.toThrow(/store cannot be reached/);
    await database.close();
    const backwards = pair.url.replace(/@(.*),(.*)\//, '@$2,$1/');
    const found = connectPostgres({ connectionString: backwards, log });
    expect(await found.query('SELECT pg_is_in_recovery() AS standby')).toEqual([{ standby: false }]);
    await found.close();
  });

  it('what the standby did not confirm is not acknowledged', async () => {
    const [server] = load.servers;
    await pair.signal('standby', 'SIGSTOP');
    const answer = await server?.adminFetch('/clients', { method: 'POST', body: { name: 'X', kind: 'integration' } });
    await pair.signal('standby', 'SIGCONT');
    expect(answer?.status).toBe(503);
  }, 30_000);

  it('a primary that freezes under load is replaced, nothing confirmed is lost, and it is not believed when it wakes up', async () => {
    const outcome = await load.during(
      'PostgreSQL, primary frozen, standby promoted, primary back',
      async () => {
        await pair.signal('primary', 'SIGSTOP');
        await delay(1_000);
        await pair.promote();
        await delay(6_000);
        await pair.signal('primary', 'SIGCONT');
      },
      { afterMs: 3_000 },
    );
    expect(outcome).toMatchObject(zeros);
    expect(outcome.unavailableMs).toBeLessThan(12_000);
    const [row] = (await load.servers[0]?.core.database.query('SELECT inet_server_port() AS port')) ?? [];
    expect(row?.['port']).toBe(Number(new URL(pair.urlOf('standby')).port));
    // A process that starts now finds the old primary first in its URL, and passes it over.
    const fresh = connectPostgres({ connectionString: pair.url, log });
    expect(await fresh.query('SELECT inet_server_port() AS port')).toEqual([row]);
    await fresh.close();
  }, 60_000);
});

describeWithPair('PostgreSQL, its primary killed', () => {
  let pair: PostgresPair;
  let load: Load;

  beforeAll(async () => {
    pair = await startPostgresPair();
    load = await startLoad({ stores: storesOn(pair.url) });
  }, 60_000);

  afterAll(async () => {
    await load?.close();
    await pair?.stop();
  });

  it('the standby takes over under load, and nothing that was confirmed is lost', async () => {
    const outcome = await load.during(
      'PostgreSQL, primary killed, standby promoted',
      async () => {
        await pair.signal('primary', 'SIGKILL');
        await delay(1_000);
        await pair.promote();
      },
      { afterMs: 6_000 },
    );
    expect(outcome).toMatchObject(zeros);
    expect(outcome.adminChanges).toBeGreaterThan(0);
    expect(outcome.unavailableMs).toBeLessThan(8_000);
    const created = await load.servers[0]?.adminFetch('/clients', {
      method: 'POST',
      body: { name: 'X', kind: 'integration' },
    });
    expect(created?.status).toBe(201);
  }, 60_000);
});

describeWithPooler('PgBouncer in transaction mode', () => {
  let pair: PostgresPair;
  let pooler: ProgramGroup;
  let load: Load;

  beforeAll(async () => {
    pair = await startPostgresPair();
    const { password, port: serverPort } = new URL(pair.urlOf('primary'));
    const port = await freePort();
    pooler = await startProgramGroup(
      { pgbouncer: `exec "${pgbouncer}" -q pgbouncer.ini` },
      {
        'users.txt': `"postgres" "${password}"\n`,
        'pgbouncer.ini': `[databases]
postgres = host=127.0.0.1 port=${serverPort} dbname=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = users.txt
pool_mode = transaction
default_pool_size = 5
`,
      },
    );
    await pooler.start('pgbouncer');
    await delay(300);
    load = await startLoad({ stores: storesOn(`postgres://postgres:${password}@127.0.0.1:${port}/postgres`) });
  }, 60_000);

  afterAll(async () => {
    await load?.close();
    await pooler?.stop();
    await pair?.stop();
  });

  it('everything works through fewer connections than the processes have, and nothing of a session is left behind', async () => {
    const outcome = await load.during('PgBouncer, connections to the database ended', async () => {
      await delay(1_000);
      const others = 'FROM pg_stat_activity WHERE pid <> pg_backend_pid()';
      const ours = `${others} AND application_name = 'keyturn'`;
      await askPostgres(pair.urlOf('primary'), `SELECT pg_terminate_backend(pid) ${ours}`);
    });
    expect(outcome).toMatchObject(zeros);
    const [database] = load.servers.map(({ core }) => core.database);
    const settings = await Promise.all(
      Array.from({ length: 10 }, () => database?.query('SHOW statement_timeout') ?? Promise.resolve([])),
    );
    expect(new Set(settings.flat().map((row) => row['statement_timeout']))).toEqual(new Set(['0']));
  }, 30_000);

  it('a change is known to another process within a second, without announcements', async () => {
    const [here, there] = load.servers;
    const created = await here?.adminFetch('/clients', { method: 'POST', body: { name: 'Y', kind: 'integration' } });
    const id = created?.json.client_id as string;
    expect(await there?.core.clients.find(id)).toMatchObject({ client: { enabled: true } });
    await here?.adminFetch(`/clients/${id}/disable`, { method: 'POST', body: {} });
    await delay(900);
    expect(await there?.core.clients.find(id)).toMatchObject({ client: { enabled: false } });
  });
});
