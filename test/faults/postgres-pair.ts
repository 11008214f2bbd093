import { randomBytes } from 'node:crypto';
import { createLog } from '../../src/observability/log.ts';
import { migrate } from '../../src/storage/migrations.ts';
import { connectPostgres } from '../../src/storage/postgres.ts';
import { eventually } from '../eventually.ts';
import { freePort } from '../free-port.ts';
import { findProgram } from '../services/service-programs.ts';
import { askPostgres } from '../services.ts';
import { type ProgramGroup, startProgramGroup } from './program-group.ts';

/** Primary of PostgreSQL and its standby. */
export type PostgresPair = ProgramGroup & {
  /** URL with both hosts, the primary first. */
  url: string;
  urlOf(name: 'primary' | 'standby'): string;
  /** Promotes the standby to primary, as a failover manager does. */
  promote(): Promise<void>;
  /** Stops replication to the standby, as a broken network between the two would. */
  cutReplication(): Promise<void>;
};

const [postgres, initdb, pgBasebackup] = ['postgres', 'initdb', 'pg_basebackup'].map((name) => findProgram([name]));
export const pgbouncer = findProgram(['pgbouncer', '../sbin/pgbouncer']);

/** Starts a primary and its standby. @param standby whether the primary waits for the standby at each commit. */
export async function startPostgresPair(standby: 'synchronous' | 'asynchronous'): Promise<PostgresPair> {
  const password = randomBytes(8).toString('hex');
  const ports = { primary: await freePort(), standby: await freePort() };
  const urlOf = (name: 'primary' | 'standby') => `postgres://postgres:${password}@127.0.0.1:${ports[name]}/postgres`;
  const serve = (name: 'primary' | 'standby') =>
    `exec "${postgres}" -D ${name} -p ${ports[name]} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=100 ` +
    '-c fsync=off -c wal_receiver_timeout=5s -c wal_retrieve_retry_interval=200ms';
  const group = await startProgramGroup(
    {
      primary: `[ -d primary ] || "${initdb}" -D primary -U postgres -E UTF8 --locale=C --auth=scram-sha-256 --pwfile=password --no-sync --no-instructions
${serve('primary')}`,
      standby: `[ -d standby ] || "${pgBasebackup}" -D standby -d "${urlOf('primary')}" -R -X stream --checkpoint=fast --no-sync
${serve('standby')}`,
    },
    { password },
  );
  async function configure(name: 'primary' | 'standby', setting: string, value: string): Promise<void> {
    await askPostgres(urlOf(name), `ALTER SYSTEM SET ${setting} = '${value}'`);
    await askPostgres(urlOf(name), 'SELECT pg_reload_conf()');
  }

  try {
    for (const name of ['primary', 'standby'] as const) {
      await group.start(name);
      await eventually(() =>
        askPostgres(urlOf(name), 'SELECT 1').then(
          () => true,
          () => false,
        ),
      );
    }
    if (standby === 'synchronous') await configure('primary', 'synchronous_standby_names', '*');
    const state = standby === 'synchronous' ? 'sync' : 'async';
    const isReplicating = async () =>
      (await askPostgres(urlOf('primary'), 'SELECT sync_state FROM pg_stat_replication'))[0]?.['sync_state'] === state;
    await eventually(isReplicating);
    const database = connectPostgres({ connectionString: urlOf('primary'), log: createLog('silent') });
    await migrate(database);
    await database.close();
  } catch (error) {
    const logs = [await group.log('primary'), await group.log('standby')].join('\n');
    await group.stop();
    throw new Error(`${(error as Error).message}\n${logs}`);
  }
  return {
    ...group,
    url: `postgres://postgres:${password}@127.0.0.1:${ports.primary},127.0.0.1:${ports.standby}/postgres`,
    urlOf,
    promote: async () => {
      // The new primary has no standby of its own, so it must not wait for one.
      await askPostgres(urlOf('standby'), `ALTER SYSTEM SET synchronous_standby_names = ''`).catch(() => undefined);
      await askPostgres(urlOf('standby'), 'SELECT pg_promote(true, 20)');
    },
    cutReplication: async () => {
      await configure('standby', 'primary_conninfo', '');
      const isCut = async () =>
        (await askPostgres(urlOf('primary'), 'SELECT pid FROM pg_stat_replication')).length === 0;
      await eventually(isCut);
    },
  };
}
