/**
 * Real PostgreSQL and Redis for the tests (one of each per run) and the benchmark. Each comes from the first of these
 * that works: the URL in TEST_DATABASE_URL or TEST_REDIS_URL; a container; a private instance of an installed program;
 * on Debian as root, the same after installing it.
 */

import { randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';
import { Redis } from 'ioredis';
import pg from 'pg';
import { type Image, startContainer } from './services/service-containers.ts';
import { findEngine } from './services/service-engine.ts';
import { findProgram, installOnDebian, type Program, startProgram } from './services/service-programs.ts';
import type { Service } from './services/service-start.ts';

export type Services = { databaseUrl: string; redisUrl: string; stop: () => Promise<void> };

/**
 * Starts both stores within a few seconds. They end on `stop` and when this process ends.
 * @param tell receives one line for each way that is tried, before it is tried.
 */
export async function startServices(tell: (line: string) => void = console.error): Promise<Services> {
  const started = await Promise.allSettled([startPostgres(tell), startRedis(tell)]);
  const services = started.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const stop = async () => {
    await Promise.all(services.map((service) => service.stop()));
  };
  const failed = started.find((result) => result.status === 'rejected');
  const [postgres, redis] = services;
  if (failed || !postgres || !redis) {
    await stop();
    throw failed?.reason;
  }
  return { databaseUrl: postgres.url, redisUrl: redis.url, stop };
}

/** Creates a migrated database for one test file. It is removed with the run. */
export async function createTestDatabase(): Promise<string> {
  return await createDatabase(`TEMPLATE ${templateName()}`);
}

/** Creates an empty database for one test file. */
export async function createEmptyTestDatabase(): Promise<string> {
  return await createDatabase('');
}

/** Creates a copy of a database to which nothing is connected. */
export async function copyTestDatabase(url: string): Promise<string> {
  return await createDatabase(`TEMPLATE ${new URL(url).pathname.slice(1)}`);
}

/** Returns the run's Redis URL and a key prefix for one test file. */
export function createTestRedis(): { url: string; prefix: string } {
  return { url: runVariable('TEST_REDIS_URL'), prefix: `${runVariable('TEST_RUN')}:${randomName()}:` };
}

/** The name of the migrated template database. */
export function templateName(): string {
  return `${runVariable('TEST_RUN')}_template`;
}

/** Runs one statement on a server without Keyturn's code, in the given database or the one in the URL. */
export async function askPostgres(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

async function createDatabase(clause: string): Promise<string> {
  const serverUrl = runVariable('TEST_DATABASE_URL');
  const name = `${runVariable('TEST_RUN')}_${randomName()}`;
  await askPostgres(serverUrl, `CREATE DATABASE ${name} ${clause}`);
  return urlOfDatabase(serverUrl, name);
}

export function urlOfDatabase(serverUrl: string, name: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}

function randomName(): string {
  return randomBytes(6).toString('hex');
}

/** The run's environment, set by global-setup.ts for all test files. */
function runVariable(name: 'TEST_DATABASE_URL' | 'TEST_REDIS_URL' | 'TEST_RUN'): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: test files are run by Jest`);
  return value;
}

const fastSettings = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  max_connections: '300',
} as const;

const settingsArguments = Object.entries(fastSettings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);

function startPostgres(tell: (line: string) => void): Promise<Service> {
  const password = randomBytes(16).toString('hex');
  const answers = async (url: string) => {
    await askPostgres(url, 'SELECT 1');
  };
  const program: Program = {
    names: ['postgres'],
    debianPackage: 'postgresql',
    prepare: ({ program: postgres, directory, port }) => ({
      files: { password },
      command: [
        'sh',
        '-c',
        `"$1" -D data -U postgres -E UTF8 --locale=C --auth=scram-sha-256 --pwfile=password --no-sync --no-instructions && shift && exec "$@"`,
        'start',
        join(dirname(postgres), 'initdb'),
        postgres,
        '-D',
        join(directory, 'data'),
        '-p',
        String(port),
        '-c',
        'listen_addresses=127.0.0.1',
        '-c',
        'unix_socket_directories=',
        ...settingsArguments,
      ],
    }),
    url: (port) => `postgres://postgres:${password}@127.0.0.1:${port}/postgres`,
    answers,
  };
  return startFirst(tell, 'PostgreSQL', 'TEST_DATABASE_URL', program, {
    name: 'postgres:17-bookworm',
    port: 5432,
    command: ['postgres', ...settingsArguments],
    environment: { POSTGRES_PASSWORD: password },
    ready: /ready to accept connections/,
    url: (host, port) => `postgres://postgres:${password}@${host}:${port}/postgres`,
    answers,
  });
}

function startRedis(tell: (line: string) => void): Promise<Service> {
  const password = randomBytes(16).toString('hex');
  const answers = async (url: string) => {
    const redis = new Redis(url, { lazyConnect: true, retryStrategy: () => null, maxRetriesPerRequest: 0 });
    redis.on('error', () => undefined);
    try {
      await redis.connect();
      await redis.ping();
    } finally {
      redis.disconnect();
    }
  };
  const program: Program = {
    names: ['redis-server', 'valkey-server'],
    debianPackage: 'redis-server',
    prepare: ({ program: redis, directory, port }) => ({
      files: {
        'redis.conf': `port ${port}\nbind 127.0.0.1\nrequirepass ${password}\nsave ""\nappendonly no\ndir ${directory}\n`,
      },
      command: [redis, join(directory, 'redis.conf')],
    }),
    url: (port) => `redis://:${password}@127.0.0.1:${port}`,
    answers,
  };
  return startFirst(tell, 'Redis', 'TEST_REDIS_URL', program, {
    name: 'redis:7-bookworm',
    port: 6379,
    command: ['redis-server', '--save', '', '--appendonly', 'no', '--requirepass', password],
    environment: {},
    ready: /Ready to accept connections/i,
    url: (host, port) => `redis://:${password}@${host}:${port}`,
    answers,
  });
}

async function startFirst(
  tell: (line: string) => void,
  name: string,
  variable: 'TEST_DATABASE_URL' | 'TEST_REDIS_URL',
  program: Program,
  image: Image,
): Promise<Service> {
  const given = process.env[variable];
  if (given) {
    tell(`${name}: the server that ${variable} names`);
    // A server that was named explicitly is used or reported; another one in its place would be a surprise.
    await program.answers(given).catch((error: Error) => {
      throw new Error(`${name}: ${variable} does not answer: ${error.message}`);
    });
    return { url: given, stop: async () => undefined };
  }
  const refused: string[] = [];
  const installed = findProgram(program.names);
  const ways: [way: string, start: () => Promise<Service>][] = [];
  if (await findEngine()) ways.push([`a container of ${image.name}`, () => startContainer(image)]);
  else refused.push('no Docker engine answers');
  if (installed) ways.push([installed, () => startProgram(program)]);
  else refused.push(`no ${program.names.join(' or ')} on this machine`);
  ways.push([
    `apt-get install ${program.debianPackage}`,
    async () => {
      await installOnDebian(program.debianPackage);
      return await startProgram(program);
    },
  ]);
  for (const [way, start] of ways) {
    tell(`${name}: ${way}`);
    try {
      return await start();
    } catch (error) {
      refused.push(`${way}: ${(error as Error).message}`);
    }
  }
  const missing = refused.map((reason) => `\n  - ${reason}`).join('');
  throw new Error(
    `The tests need a real ${name}. Set ${variable} to the URL of a running server, or correct one of:${missing}`,
  );
}
