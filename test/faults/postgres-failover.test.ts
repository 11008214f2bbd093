import { setTimeout as delay } from 'node:timers/promises';
import { createLog } from '../../src/observability/log.ts';
import { generateRootKey } from '../../src/storage/open-database.ts';
import { connectPostgres } from '../../src/storage/postgres.ts';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { eventually } from '../eventually.ts';
import { freePort } from '../free-port.ts';
import { endpointsOf, inactive, register, type TestClient } from '../oauth/fixture.ts';
import { describeWith } from '../programs.ts';
import { askPostgres, createTestRedis } from '../services.ts';
import { type Load, startLoad, zeros } from './load.ts';
import { type PostgresPair, pgbouncer, startPostgresPair } from './postgres-pair.ts';
import { type ProgramGroup, startProgramGroup } from './program-group.ts';

const log = createLog('silent');
const describeWithPair = describeWith('PostgreSQL server');

type Api = ReturnType<typeof endpointsOf>;

function storesOn(databaseUrl: string) {
  const { url: redisUrl, prefix: redisPrefix } = createTestRedis();
  return { databaseUrl, redisUrl, redisPrefix, rootKey: generateRootKey() };
}

let pair: PostgresPair;
let load: Load;

/** Starts a pair and two processes on it for the tests of one `describe`. */
function usePairUnderLoad(replication: Parameters<typeof startPostgresPair>[0]): void {
  beforeAll(async () => {
    pair = await startPostgresPair(replication);
    load = await startLoad({ stores: storesOn(pair.url) });
  });

  afterAll(async () => {
    await load?.close();
    await pair?.stop();
  });
}

/** Waits until the new primary accepts a change. */
async function acceptsChanges(): Promise<void> {
  const [server] = load.servers;
  const body = { name: 'After promotion', kind: 'integration' };
  await eventually(async () => (await server?.adminFetch('/clients', { method: 'POST', body }))?.status === 201);
}

describeWithPair('PostgreSQL with a synchronous standby', () => {
  usePairUnderLoad('synchronous');

  it('a standby is rejected as a database, and skipped in a URL with several hosts', async () => {
    const database = connectPostgres({ connectionString: pair.urlOf('standby'), log });
    await expect(database.query('SELECT 1')).rejects.toThrow(/database cannot be reached/);
    await database.close();
    const backwards = pair.url.replace(/@(.*),(.*)\//, '@$2,$1/');
    const found = connectPostgres({ connectionString: backwards, log });
    expect(await found.query('SELECT pg_is_in_recovery() AS standby')).toEqual([{ standby: false }]);
    await found.close();
  });

  it('a change that the standby did not confirm is not acknowledged', async () => {
    const [server] = load.servers;
    await pair.signal('standby', 'SIGSTOP');
    const answer = await server?.adminFetch('/clients', { method: 'POST', body: { name: 'X', kind: 'integration' } });
    await pair.signal('standby', 'SIGCONT');
    expect(answer?.status).toBe(503);
  });

  it('a primary that freezes under load is replaced without loss of confirmed changes, and ignored when it resumes', async () => {
    const outcome = await load.during(
      'PostgreSQL, primary frozen, standby promoted, primary back',
      async (recovered) => {
        await pair.signal('primary', 'SIGSTOP');
        await pair.promote();
        await acceptsChanges();
        await recovered();
        await pair.signal('primary', 'SIGCONT');
      },
    );
    expect(outcome).toMatchObject(zeros);
    const [row] = (await load.servers[0]?.core.database.query('SELECT inet_server_port() AS port')) ?? [];
    expect(row?.['port']).toBe(Number(new URL(pair.urlOf('standby')).port));
    // A process that starts now finds the old primary first in its URL and skips it.
    const fresh = connectPostgres({ connectionString: pair.url, log });
    expect(await fresh.query('SELECT inet_server_port() AS port')).toEqual([row]);
    await fresh.close();
  });
});

describeWithPair('PostgreSQL after its primary was killed', () => {
  usePairUnderLoad('synchronous');

  it('a failover under load loses no confirmed change, and the old primary is ignored when it restarts', async () => {
    const outcome = await load.during(
      'PostgreSQL, primary killed, standby promoted, primary started again',
      async () => {
        await pair.signal('primary', 'SIGKILL');
        await pair.promote();
        await acceptsChanges();
        await pair.start('primary');
      },
    );
    expect(outcome).toMatchObject(zeros);
    expect(outcome.adminChanges).toBeGreaterThan(0);
    for (const { core } of load.servers) {
      const [row] = await core.database.query('SELECT inet_server_port() AS port');
      expect(row?.['port']).toBe(Number(new URL(pair.urlOf('standby')).port));
    }
  });
});

describeWithPair('PostgreSQL after a promotion of its asynchronous standby without the last changes', () => {
  usePairUnderLoad('asynchronous');

  it('what lost changes had revoked or disabled stays so in every process, and later changes are followed', async () => {
    const [here, there] = load.servers as [AdminServer, AdminServer];
    const apis = load.servers.map(({ publicUrl }) => endpointsOf(publicUrl)) as [Api, Api];
    const { shop, orders } = load.clients;
    const integration = (name: string, scope = 'orders:read') =>
      register(here.core, { name, kind: 'integration', scope });
    const act = async (path: string, body: object = {}) => {
      const answer = await here.adminFetch(path, { method: 'POST', body });
      expect([path, answer.status < 300]).toEqual([path, true]);
      return answer.json;
    };
    const parcels = await register(here.core, {
      name: 'Parcels',
      kind: 'resource_server',
      resource: 'https://parcels.example',
      information: ['parcels'],
      tokenFormat: 'jwt',
    });
    const [kept, twice, courier] = [
      await integration('Kept'),
      await integration('Twice'),
      await integration('Courier', 'parcels:read'),
    ];
    const contact = await act('/contacts', { name: 'Ann', email: 'ann@example.com' });
    const key = await act(`/contacts/${contact.id}/access-keys`, { name: 'Key', permissions: { orders: ['read'] } });
    const leaking = await integration('Leaking');
    const { confirmation } = await act(`/clients/${leaking.id}/regeneration/review`);
    const { regeneration_id: regenerationId } = await act(`/clients/${leaking.id}/regenerate`, { confirmation });

    const opaque = await apis[0].accessToken(shop);
    const [jwt, revokedJwt] = [await apis[0].accessToken(courier), await apis[0].accessToken(courier)];
    await act('/signing-keys/rotate');
    const jwtOfStolenKey = await apis[0].accessToken(courier);
    const revoked = await apis[0].accessToken(shop);
    const [ofKept, ofTwice] = [await apis[0].accessToken(kept), await apis[0].accessToken(twice)];
    const ofKey = await apis[0].accessToken(shop, { access_key: key.access_key });
    const listener = await listen(there.publicUrl, orders);

    // Prevents repairs until the trigger is dropped.
    await askPostgres(
      pair.urlOf('primary'),
      `CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not yet'; END $$;
       CREATE TRIGGER fail BEFORE INSERT ON lost_changes EXECUTE FUNCTION fail()`,
    );
    await pair.cutReplication();
    const lost = await integration('Lost');
    await act(`/clients/${kept.id}/disable`);
    await act(`/clients/${twice.id}/tokens/revoke`);
    await act(`/access-keys/${key.id}/disable`);
    await act(`/clients/${leaking.id}/regenerations/${regenerationId}/finish`);
    const { data: keys } = (await here.adminFetch('/signing-keys')).json;
    const stolen = keys.find(({ status }: { status: string }) => status === 'current').kid;
    await act(`/signing-keys/${stolen}/revoke`);
    expect((await apis[0].revoke(shop, revoked)).status).toBe(200);
    expect((await apis[0].revoke(courier, revokedJwt)).status).toBe(200);
    const ended = [
      [orders, revoked],
      [parcels, revokedJwt],
      [parcels, jwtOfStolenKey],
      [orders, ofKept],
      [orders, ofTwice],
      [orders, ofKey],
    ] as const;
    // Both processes have cached the changes, and have read further ones than the standby has received.
    for (const api of apis) {
      expect((await api.token(lost)).status).toBe(200);
      for (const [server, token] of ended) {
        await eventually(async () => (await api.introspect(server, token)).text === inactive);
      }
    }
    const ofLostEpoch = await apis[0].accessToken(twice);
    await pair.signal('primary', 'SIGKILL');
    await pair.promote();

    /** Checks that ended tokens are inactive or cannot be examined, and returns whether all can be. */
    const areEnded = async (api: Api) => {
      const answers = await Promise.all(ended.map(([server, token]) => api.introspect(server, token)));
      for (const { status, text } of answers) expect(status === 503 ? inactive : text).toBe(inactive);
      return answers.every(({ status }) => status === 200);
    };
    for (const { publicUrl } of load.servers) {
      const readiness = async () => await (await fetch(`${publicUrl}/readyz`)).text();
      await eventually(async () => (await readiness()).includes('"changes":"unchecked"'));
    }
    for (const api of apis) {
      expect((await api.introspect(orders, opaque)).status).toBe(503);
      expect((await api.token(shop)).status).toBe(503);
    }
    await askPostgres(pair.urlOf('standby'), 'DROP TRIGGER fail ON lost_changes');
    for (const api of apis) {
      // Requests get 503 until the new primary was compared. It has no new client.
      await eventually(async () => (await areEnded(api)) && (await api.token(lost)).status === 401);
      expect((await api.token(kept)).status).toBe(401);
      expect((await api.token(leaking)).status).toBe(401);
      expect((await api.introspect(orders, ofLostEpoch)).text).toBe(inactive);
    }
    const newcomer = await startAdminServer({ stores: here.stores, storeDeadlineMs: 200 });
    expect(await areEnded(endpointsOf(newcomer.publicUrl))).toBe(true);
    await newcomer.close();
    // Tokens that no lost change concerned are still valid.
    for (const api of apis) {
      expect((await api.introspect(orders, opaque)).text).not.toBe(inactive);
      expect((await api.introspect(parcels, jwt)).text).not.toBe(inactive);
    }
    const { data: events } = (await here.adminFetch('/audit-events?action=deployment.changes_lost')).json;
    expect(events).toMatchObject([{ after: { tokens: 2, clients: 3, access_keys: 1, every_token: false } }]);
    expect(JSON.stringify(events)).toContain(stolen);
    await eventually(() => listener.text().includes('event: reset'));
    listener.close();
    // The numbers of the lost changes are used again. A process that has read the lost ones must not skip the new ones.
    await act(`/clients/${kept.id}/enable`);
    for (const api of apis) await eventually(async () => (await api.token(kept)).status === 200);
    await act(`/clients/${kept.id}/disable`);
    await eventually(async () => (await apis[1].token(kept)).status === 401);
    // Revoking all tokens again must not make tokens valid that were issued after the lost revocation.
    await act(`/clients/${twice.id}/tokens/revoke`);
    for (const api of apis) expect((await api.introspect(orders, ofLostEpoch)).text).toBe(inactive);
    expect(await load.during('PostgreSQL, after a promotion with loss', async () => undefined)).toMatchObject(zeros);
  });
});

describeWith('PostgreSQL server', 'PgBouncer')('PgBouncer in transaction mode', () => {
  let pair: PostgresPair;
  let pooler: ProgramGroup;
  let load: Load;

  beforeAll(async () => {
    pair = await startPostgresPair('asynchronous');
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
  });

  afterAll(async () => {
    await load?.close();
    await pooler?.stop();
    await pair?.stop();
  });

  it('everything works with fewer connections than the processes have, and without state of a session', async () => {
    const outcome = await load.during('PgBouncer, connections to the database ended', async () => {
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
  });

  it('another process follows a change without announcements', async () => {
    const [here, there] = load.servers;
    const created = await here?.adminFetch('/clients', { method: 'POST', body: { name: 'Y', kind: 'integration' } });
    const id = created?.json.client_id as string;
    expect(await there?.core.clients.find(id)).toMatchObject({ client: { enabled: true } });
    await here?.adminFetch(`/clients/${id}/disable`, { method: 'POST', body: {} });
    await eventually(async () => (await there?.core.clients.find(id))?.client.enabled === false);
  });
});

/** Collects the events that a resource server receives, as text. */
async function listen(publicUrl: string, { id, secret }: TestClient) {
  const ended = new AbortController();
  const headers = { Authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}` };
  const response = await fetch(`${publicUrl}/oauth2/events`, { headers, signal: ended.signal });
  let text = '';
  const read = async () => {
    for await (const part of response.body ?? []) text += Buffer.from(part).toString();
  };
  read().catch(() => undefined);
  return { text: () => text, close: () => ended.abort() };
}
