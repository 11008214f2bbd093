import { randomBytes } from 'node:crypto';
import { createLog } from '../../src/observability/log.ts';
import { migrate } from '../../src/storage/migrations.ts';
import { generateRootKey } from '../../src/storage/open-database.ts';
import { connectPostgres } from '../../src/storage/postgres.ts';
import { eventually } from '../eventually.ts';
import { freePort } from '../free-port.ts';
import { type Stores, startTestServer } from '../harness.ts';
import { endpointsOf, inactive, registerAll } from '../oauth/fixture.ts';
import { describeWith } from '../programs.ts';
import { findProgram } from '../services/service-programs.ts';
import { askPostgres, createTestRedis } from '../services.ts';
import { type ProgramGroup, startProgramGroup } from './program-group.ts';

const [postgres, initdb] = ['postgres', 'initdb'].map((name) => findProgram([name]));
const million = 1_000_000;

describeWith('PostgreSQL server')('with a million revoked tokens', () => {
  let group: ProgramGroup;
  let url: string;
  let stores: Stores;
  let clients: Awaited<ReturnType<typeof registerAll>>;

  const isUp = () =>
    askPostgres(url, 'SELECT 1').then(
      () => true,
      () => false,
    );

  beforeAll(async () => {
    const password = randomBytes(8).toString('hex');
    const port = await freePort();
    url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;
    group = await startProgramGroup(
      {
        postgres: `[ -d data ] || "${initdb}" -D data -U postgres -E UTF8 --locale=C --auth=scram-sha-256 --pwfile=password --no-sync --no-instructions
exec "${postgres}" -D data -p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off`,
      },
      { password },
    );
    await group.start('postgres');
    await eventually(isUp);
    const database = connectPostgres({ connectionString: url, log: createLog('silent') });
    await migrate(database);
    await database.run(
      `INSERT INTO changes (kind, target, at, expires_at)
       SELECT 'token', md5(n::text) || 'AAAAAAAAAAA', now(), now() + interval '1 hour' FROM generate_series(1, ${million}) n`,
    );
    await database.close();
    const { url: redisUrl, prefix: redisPrefix } = createTestRedis();
    stores = { databaseUrl: url, redisUrl, redisPrefix, rootKey: generateRootKey() };
    const server = await startTestServer({ stores });
    clients = await registerAll(server.core);
    await server.close();
    // A restart of PostgreSQL after SIGKILL then has little to recover.
    await askPostgres(url, 'CHECKPOINT');
  });
  afterAll(() => group?.stop());

  it('starts, and responds to every request while PostgreSQL restarts, without reading what it has cached again', async () => {
    // A restart of PostgreSQL on a busy machine may take longer than cached clients are served by default.
    const server = await startTestServer({ stores, env: { KEYTURN_STALE_SECONDS: '600' } });
    const api = endpointsOf(server.publicUrl);
    const { shop, orders } = clients;
    const [live, revoked] = [await api.accessToken(shop), await api.accessToken(shop)];
    await api.introspect(orders, live);
    await api.revoke(shop, revoked);

    const loaded = server.core.clients.counts.database;
    const wrong: unknown[] = [];
    let isOver = false;
    const load = (async () => {
      while (!isOver && wrong.length === 0) {
        const [issued, ofLive, ofRevoked] = await Promise.all([
          api.token(shop),
          api.introspect(orders, live),
          api.introspect(orders, revoked),
        ]);
        if (issued.status !== 200) wrong.push(issued);
        if (ofLive.json['active'] !== true) wrong.push(ofLive);
        if (ofRevoked.text !== inactive) wrong.push(ofRevoked);
      }
    })();
    try {
      await group.signal('postgres', 'SIGKILL');
      await group.start('postgres');
      await eventually(isUp);
      // Wait until the change feed has read everything from the restarted server.
      await eventually(() => server.core.feed.lagMs() < 1_500);
      expect(server.core.clients.counts.database).toBe(loaded);
      const later = await api.accessToken(shop);
      // A revocation is answered 200 only once it is stored. A busy database gets it as a repeated request.
      await eventually(async () => (await api.revoke(shop, later)).status === 200);
      expect((await api.introspect(orders, later)).text).toBe(inactive);
    } finally {
      isOver = true;
      await load;
      await server.close();
    }
    expect(wrong).toEqual([]);
  });
});
