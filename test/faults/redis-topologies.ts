import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Redis } from 'ioredis';
import { eventually } from '../eventually.ts';
import { freePort } from '../free-port.ts';
import { findProgram } from '../services/service-programs.ts';
import { type ProgramGroup, startProgramGroup } from './program-group.ts';

/** Several Redis servers that form one deployment. */
export type RedisGroup = ProgramGroup & {
  url: string;
  /** Password of the same user on all servers. */
  password: string;
  ports: Readonly<Record<string, number>>;
  /** Sends a command directly to one server. */
  ask(name: string, ...command: string[]): Promise<unknown>;
  /** Returns whether a write to this primary reaches a replica at once. */
  isReplicated(name: string): Promise<boolean>;
  /** Returns the names of the primaries. */
  primaries(): Promise<string[]>;
};

export const redisServer = findProgram(['redis-server', 'valkey-server']);

/** Starts a primary and a replica, watched by three Sentinels that detect a failure after a second. */
export async function startSentinelTrio(): Promise<RedisGroup> {
  const password = randomBytes(8).toString('hex');
  const nodes = ['one', 'two'];
  const sentinels = ['sentinel1', 'sentinel2', 'sentinel3'];
  const ports = await portsFor([...nodes, ...sentinels]);
  const files: Record<string, string> = {};
  for (const name of nodes) files[`${name}.conf`] = serverConfig(ports[name] as number, password, name);
  files['two.conf'] += `replicaof 127.0.0.1 ${ports['one']}\n`;
  for (const name of sentinels) {
    files[`${name}.conf`] = [
      `port ${ports[name]}`,
      'bind 127.0.0.1',
      `sentinel monitor keyturn 127.0.0.1 ${ports['one']} 2`,
      `sentinel auth-pass keyturn ${password}`,
      'sentinel down-after-milliseconds keyturn 1000',
      'sentinel failover-timeout keyturn 4000',
      '',
    ].join('\n');
  }
  const group = await startGroup(ports, files, password, sentinels);
  await eventually(async () => /master_link_status:up/.test(String(await group.ask('two', 'INFO', 'replication'))));
  for (const name of sentinels) {
    await eventually(async () => {
      const text = String(await group.ask(name, 'INFO', 'sentinel'));
      return /status=ok,address=[^,]+,slaves=1,sentinels=3/.test(text);
    });
  }
  const hosts = sentinels.map((name) => `127.0.0.1:${ports[name]}`).join(',');
  return { ...group, url: `redis+sentinel://keyturn:${password}@${hosts}/keyturn` };
}

/** Starts three primaries with a replica each, which takes over after a second and a half. */
export async function startRedisCluster(): Promise<RedisGroup> {
  const password = randomBytes(8).toString('hex');
  const primaries = ['one', 'two', 'three'];
  const replicas = ['one-replica', 'two-replica', 'three-replica'];
  const ports = await portsFor([...primaries, ...replicas], 10_000);
  const files: Record<string, string> = {};
  for (const name of Object.keys(ports)) {
    files[`${name}.conf`] =
      `${serverConfig(ports[name] as number, password, name)}cluster-enabled yes\ncluster-config-file ${name}.nodes\n` +
      'cluster-node-timeout 1500\ncluster-replica-validity-factor 0\n';
  }
  const group = await startGroup(ports, files, password, []);
  const names = Object.keys(ports);
  const ids = new Map<string, string>();
  for (const name of names) ids.set(name, String(await group.ask(name, 'CLUSTER', 'MYID')));
  for (const [index, name] of primaries.entries()) {
    await group.ask(name, 'CLUSTER', 'SET-CONFIG-EPOCH', String(index + 1));
    const from = Math.floor((16_384 / 3) * index);
    const to = index === 2 ? 16_383 : Math.floor((16_384 / 3) * (index + 1)) - 1;
    await group.ask(name, 'CLUSTER', 'ADDSLOTSRANGE', String(from), String(to));
  }
  for (const name of names.slice(1)) await group.ask('one', 'CLUSTER', 'MEET', '127.0.0.1', String(ports[name]));
  for (const [index, name] of replicas.entries()) {
    const primary = ids.get(primaries[index] as string) as string;
    await eventually(() =>
      group.ask(name, 'CLUSTER', 'REPLICATE', primary).then(
        () => true,
        () => false,
      ),
    );
  }
  for (const name of names) {
    await eventually(async () => {
      const [state, nodes] = [await group.ask(name, 'CLUSTER', 'INFO'), await group.ask(name, 'CLUSTER', 'NODES')];
      return /cluster_state:ok/.test(String(state)) && String(nodes).match(/\bslave\b/g)?.length === 3;
    });
  }
  for (const name of replicas) {
    await eventually(async () => /master_link_status:up/.test(String(await group.ask(name, 'INFO', 'replication'))));
  }
  const hosts = primaries.map((name) => `127.0.0.1:${ports[name]}`).join(',');
  return { ...group, url: `redis+cluster://keyturn:${password}@${hosts}` };
}

function serverConfig(port: number, password: string, name: string): string {
  return (
    `port ${port}\nbind 127.0.0.1\nrequirepass ${password}\nmasterauth ${password}\nsave ""\nappendonly no\n` +
    `dbfilename ${name}.rdb\nrepl-diskless-sync yes\nrepl-diskless-sync-delay 0\nrepl-ping-replica-period 1\n${documentedUser(password)}\n`
  );
}

async function startGroup(
  ports: Readonly<Record<string, number>>,
  files: Readonly<Record<string, string>>,
  password: string,
  sentinels: readonly string[],
): Promise<Omit<RedisGroup, 'url'>> {
  const names = Object.keys(ports);
  const script = (name: string) =>
    `exec "${redisServer}" ./${name}.conf ${sentinels.includes(name) ? '--sentinel' : ''}\n`;
  const programs = Object.fromEntries(names.map((name) => [name, script(name)]));
  const group = await startProgramGroup(programs, files);
  async function connected<T>(name: string, work: (redis: Redis) => Promise<T>): Promise<T> {
    const redis = new Redis({
      host: '127.0.0.1',
      port: ports[name] as number,
      ...(sentinels.includes(name) ? {} : { password }),
      lazyConnect: true,
      enableReadyCheck: false,
      retryStrategy: () => null,
      maxRetriesPerRequest: 0,
      commandTimeout: 1_000,
    });
    redis.on('error', () => undefined);
    try {
      await redis.connect();
      return await work(redis);
    } finally {
      redis.disconnect();
    }
  }
  const ask = (name: string, ...[verb = '', ...parameters]: string[]) =>
    connected(name, (redis) => redis.call(verb, ...parameters));
  const isReplicated = (name: string) =>
    connected(name, async (redis) => {
      // In a cluster, this primary does not own every key.
      for (let key = 0; key < 50; key++) {
        const isWritten = await redis.set(`probe${key}`, '').then(
          () => true,
          () => false,
        );
        if (isWritten) return (await redis.wait(1, 500)) >= 1;
      }
      return false;
    });
  try {
    for (const name of names) await group.start(name);
    for (const name of names)
      await eventually(() =>
        ask(name, 'PING').then(
          () => true,
          () => false,
        ),
      );
  } catch (error) {
    const logs = await Promise.all(names.map((name) => group.log(name)));
    await group.stop();
    throw new Error(`${(error as Error).message}\n${logs.join('\n')}`);
  }
  const primaries = async () => {
    const roles = await Promise.all(
      names
        .filter((name) => !sentinels.includes(name))
        .map(async (name) => [name, String(await ask(name, 'INFO', 'replication').catch(() => ''))] as const),
    );
    return roles.filter(([, text]) => /role:master/.test(text)).map(([name]) => name);
  };
  return { ...group, password, ports, ask, isReplicated, primaries };
}

/**
 * Finds a free port for each name. @param above offset of a second port that must be free too: 10,000 for the bus of a
 * cluster.
 */
async function portsFor(names: readonly string[], above = 0): Promise<Record<string, number>> {
  const ports: Record<string, number> = {};
  for (const name of names) {
    let port = await freePort();
    while (port + above > 65_000 || Object.values(ports).includes(port)) port = await freePort();
    ports[name] = port;
  }
  return ports;
}

/** Returns the ACL of the user of least privilege as documented in docs/stores.md. */
export function documentedUser(password: string): string {
  const [line = ''] = /^user keyturn .*$/m.exec(readFileSync('docs/stores.md', 'utf8')) ?? [];
  return line.replace('>PASSWORD', `>${password}`);
}
