import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createLog } from '../../src/observability/log.ts';
import { migrate } from '../../src/storage/migrations.ts';
import { generateRootKey } from '../../src/storage/open-database.ts';
import { connectPostgres } from '../../src/storage/postgres.ts';
import type { AdminServer } from '../admin/admin-server.ts';
import { eventually } from '../eventually.ts';
import { freePort } from '../free-port.ts';
import { endpointsOf, inactive, register } from '../oauth/fixture.ts';
import { describeWith } from '../programs.ts';
import { findProgram, unprivilegedUser } from '../services/service-programs.ts';
import { askPostgres, createTestRedis } from '../services.ts';
import { type Load, startLoad, zeros } from './load.ts';
import { type ProgramGroup, startProgramGroup } from './program-group.ts';

const [postgres, initdb] = ['postgres', 'initdb'].map((name) => findProgram([name]));
const user = unprivilegedUser();
/** Mounting a small disk requires privileges, and PostgreSQL does not run as root. */
const describeIfPossible = user ? describeWith('PostgreSQL server', 'mount') : describe.skip;

let group: ProgramGroup;
let disk: string;
let url: string;
let load: Load;

describeIfPossible('while the disk of PostgreSQL is full', () => {
  beforeAll(async () => {
    const [port, password] = [await freePort(), generateRootKey().slice(3, 15).replace(/\W/g, 'x')];
    url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;
    group = await startProgramGroup(
      {
        server: `"${initdb}" -D disk/data -U postgres -E UTF8 --locale=C --auth=scram-sha-256 --pwfile=password --no-sync --no-instructions
exec "${postgres}" -D disk/data -p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -c max_wal_size=32MB -c min_wal_size=32MB`,
      },
      { password },
    );
    disk = join(group.directory, 'disk');
    mkdirSync(disk);
    mount('-t', 'tmpfs', '-o', `size=160m,uid=${user?.uid},gid=${user?.gid},mode=700`, 'tmpfs', disk);
    await group.start('server');
    await eventually(() =>
      askPostgres(url, 'SELECT 1').then(
        () => true,
        () => false,
      ),
    );
    const database = connectPostgres({ connectionString: url, log: createLog('silent') });
    await migrate(database);
    await database.close();
    const { url: redisUrl, prefix: redisPrefix } = createTestRedis();
    load = await startLoad({
      stores: { databaseUrl: url, redisUrl, redisPrefix, rootKey: generateRootKey() },
    });
  });

  afterAll(async () => {
    await load?.close();
    // Unmount lazily, because the server may still be exiting.
    if (disk) spawnSync('umount', ['-l', disk]);
    await group?.stop();
  });

  it('changes and revocations fail completely, tokens are issued under load, and everything works once there is space', async () => {
    const [server] = load.servers as [AdminServer];
    const { shop, orders } = load.clients;
    const api = endpointsOf(server.publicUrl);
    const change = async () =>
      (await server.adminFetch('/clients', { method: 'POST', body: { name: 'X', kind: 'integration' } })).status;
    const newcomers = await Promise.all(
      Array.from({ length: 40 }, () => register(server.core, { name: 'Y', kind: 'integration', scope: 'orders:read' })),
    );
    const token = await api.accessToken(shop);
    let revoked = 0;
    await askPostgres(url, 'CREATE UNLOGGED TABLE filler (text text)');

    const outcome = await load.during('PostgreSQL, disk full', async () => {
      await fillDisk();
      const before = await countSessions();
      // A page of a table may have space for a few more rows.
      await eventually(async () => (await change()) === 503);
      // Cached data is used for at most 5 s without PostgreSQL. Reads must work after that too, also for clients that
      // are not cached.
      for (const newcomer of newcomers) {
        expect((await api.token(newcomer)).status).toBe(200);
        await delay(200);
      }
      expect(await change()).toBe(503);
      ({ status: revoked } = await api.revoke(shop, token));
      // A write that fails for lack of space does not mean a broken connection, so connections are not replaced each
      // time.
      expect((await countSessions()) - before).toBeLessThan(50);
      await askPostgres(url, 'DROP TABLE filler');
      await eventually(async () => (await change()) === 201);
    });

    expect(outcome).toMatchObject({ ...zeros, unavailable: 0 });
    expect([200, 503]).toContain(revoked);
    expect((await api.introspect(orders, token)).text === inactive).toBe(revoked === 200);
    expect((await api.revoke(shop, token)).status).toBe(200);
    expect((await api.introspect(orders, token)).text).toBe(inactive);
  });
});

/** Counts all sessions that were ever opened. */
async function countSessions(): Promise<number> {
  const [row] = await askPostgres(url, 'SELECT sum(sessions)::int AS count FROM pg_stat_database');
  return row?.['count'] as number;
}

/** Fills the disk until no write succeeds, with large pieces first and then with small ones. */
async function fillDisk(): Promise<void> {
  for (const rows of [10_000, 1_000, 100, 10, 1, 1, 1]) {
    const insert = `INSERT INTO filler SELECT (SELECT string_agg(md5(random()::text || part), '') FROM generate_series(1, 60) AS part) FROM generate_series(1, ${rows})`;
    for (let isFull = false; !isFull; ) {
      isFull = await askPostgres(url, insert).then(
        () => false,
        (error: Error) => /No space left|disk full/i.test(error.message),
      );
    }
  }
}

function mount(...words: string[]): void {
  const { status, stderr } = spawnSync('mount', words, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`mount: ${stderr}`);
}
