import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createLog } from '../../src/log.ts';
import { migrate } from '../../src/storage/migrate.ts';
import { generateRootKey } from '../../src/storage/open-database.ts';
import { connectPostgres } from '../../src/storage/postgres.ts';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { eventually } from '../eventually.ts';
import { freePort } from '../free-port.ts';
import { endpointsOf, inactive, registerAll } from '../oauth/fixture.ts';
import { findProgram, unprivilegedUser } from '../service-programs.ts';
import { askPostgres, createTestRedis } from '../services.ts';
import { type ProgramGroup, startProgramGroup } from './program-group.ts';

const [postgres, initdb] = ['postgres', 'initdb'].map((name) => findProgram([name]));
const user = unprivilegedUser();
/** Not everybody may mount a disk that is small; and PostgreSQL does not run as root. */
const isPossible = Boolean(postgres && initdb && user) && spawnSync('unshare', ['--mount', 'true']).status === 0;

let group: ProgramGroup;
let disk: string;
let url: string;
let server: AdminServer;

(isPossible ? describe : describe.skip)('while PostgreSQL’s disk is full', () => {
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
    await eventually(
      () =>
        askPostgres(url, 'SELECT 1').then(
          () => true,
          () => false,
        ),
      20_000,
    );
    const database = connectPostgres({ connectionString: url, log: createLog('silent') });
    await migrate(database);
    await database.close();
    const { url: redisUrl, prefix: redisPrefix } = createTestRedis();
    server = await startAdminServer({
      stores: { databaseUrl: url, redisUrl, redisPrefix, rootKey: generateRootKey() },
    });
  }, 60_000);

  afterAll(async () => {
    await server?.close();
    // Lazily: the server may still be ending in it.
    if (disk) spawnSync('umount', ['-l', disk]);
    await group?.stop();
  });

  it('admin changes and revocations are refused whole, tokens go on, and all is well once there is room', async () => {
    const { shop, orders } = await registerAll(server.core);
    const api = endpointsOf(server.publicUrl);
    const token = await api.accessToken(shop);
    const count = async () => (await server.adminFetch('/clients?limit=100')).json.data.length as number;
    const before = await count();
    await askPostgres(url, 'CREATE UNLOGGED TABLE filler (text text)');
    await fillDisk();

    const body = { name: 'x'.repeat(100), kind: 'integration' };
    const created = [];
    // A page of a table may have room for a few rows yet.
    for (let attempt = 0; attempt < 200 && created.at(-1) !== 503; attempt++) {
      created.push((await server.adminFetch('/clients', { method: 'POST', body })).status);
    }
    expect(created.at(-1)).toBe(503);
    expect(new Set(created.slice(0, -1))).toEqual(created.length > 1 ? new Set([201]) : new Set());
    for (let round = 0; round < 20; round++) {
      const answer = await api.token(shop);
      expect(answer.status).toBe(200);
      expect((await api.introspect(orders, answer.json['access_token'] as string)).json['active']).toBe(true);
    }
    const revoked = await api.revoke(shop, token);
    expect([200, 503]).toContain(revoked.status);

    await askPostgres(url, 'DROP TABLE filler');
    expect(await count()).toBe(before + created.length - 1);
    await eventually(
      async () => (await server.adminFetch('/clients', { method: 'POST', body })).status === 201,
      10_000,
    );
    expect((await api.introspect(orders, token)).text === inactive).toBe(revoked.status === 200);
    expect((await api.revoke(shop, token)).status).toBe(200);
    expect((await api.introspect(orders, token)).text).toBe(inactive);
  }, 60_000);
});

/** Until nothing more goes in, by large pieces and then by small ones. */
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
