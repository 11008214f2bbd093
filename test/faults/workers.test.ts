import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Agent } from 'node:http';
import { createInterface } from 'node:readline';
import { disableClient, enableClient } from '../../src/clients/manage-clients.ts';
import { childEnvironment } from '../child-environment.ts';
import { eventually } from '../eventually.ts';
import { freePort } from '../free-port.ts';
import { createTestStores, type Stores, startTestServer, type TestServer } from '../harness.ts';
import { actor, endpointsOf, inactive, registerAll } from '../oauth/fixture.ts';

let stores: Stores;
let beside: TestServer;
let clients: Awaited<ReturnType<typeof registerAll>>;
let supervisor: ChildProcess;
let url: string;
/** Lines of the log of the supervisor and its workers so far. */
const lines: string[] = [];

beforeAll(async () => {
  stores = await createTestStores();
  beside = await startTestServer({ stores });
  clients = await registerAll(beside.core);
  const [port, adminPort] = [await freePort(), await freePort()];
  url = `http://127.0.0.1:${port}`;
  supervisor = spawn(process.execPath, ['--import', './test/patient-stores.ts', 'src/main.ts', 'start'], {
    env: {
      ...childEnvironment(),
      DATABASE_URL: stores.databaseUrl,
      REDIS_URL: stores.redisUrl,
      KEYTURN_ROOT_KEY: stores.rootKey,
      KEYTURN_ISSUER: url,
      KEYTURN_PORT: String(port),
      KEYTURN_ADMIN_PORT: String(adminPort),
      KEYTURN_WORKERS: '2',
      KEYTURN_LOG_LEVEL: 'error',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  createInterface({ input: supervisor.stdout as NodeJS.ReadableStream }).on('line', (line) => lines.push(line));
  await readyWith(2);
});

afterAll(async () => {
  if (supervisor.exitCode === null) {
    supervisor.kill('SIGTERM');
    await once(supervisor, 'exit');
  }
  await beside.close();
});

/** Returns the process ids of the workers. */
function workers(): number[] {
  try {
    return execFileSync('ps', ['--ppid', String(supervisor.pid), '-o', 'pid='])
      .toString()
      .split('\n')
      .filter(Boolean)
      .map(Number);
  } catch {
    return [];
  }
}

async function readyWith(count: number): Promise<void> {
  await eventually(async () => {
    const isReady = await fetch(`${url}/readyz`, { headers: { connection: 'close' } }).then(
      (answer) => answer.ok,
      () => false,
    );
    return isReady && workers().length === count;
  });
}

/** Kills a worker. Resolves when the supervisor has noticed it, before it starts another one. */
async function killWorker(pid: number): Promise<void> {
  process.kill(pid, 'SIGKILL');
  await eventually(() => lines.some((line) => line.includes(`"pid":${pid},`) && line.includes('worker exited')));
}

/** Requests tokens over persistent connections until it is stopped, and collects the failures. */
function load(connections: number) {
  const failures: unknown[] = [];
  let running = true;
  let served = 0;
  const { token } = endpointsOf(url);
  const loops = Array.from({ length: connections }, async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    while (running) {
      await token(clients.shop, {}, { agent }).then(
        (answer) => {
          served += 1;
          if (answer.status !== 200) failures.push(`${answer.status} ${answer.text}`);
        },
        (error: unknown) => failures.push(error),
      );
    }
    agent.destroy();
  });
  return {
    served: () => served,
    stop: async () => {
      running = false;
      await Promise.all(loops);
      return { served, failures };
    },
  };
}

test('a rolling restart of all workers fails no request', async () => {
  const before = workers();
  const running = load(8);
  await eventually(() => running.served() > 100);
  supervisor.kill('SIGHUP');
  await eventually(() => !workers().some((pid) => before.includes(pid)));
  const { served, failures } = await running.stop();
  expect(workers().filter((pid) => before.includes(pid))).toEqual([]);
  expect(failures).toEqual([]);
  expect(served).toBeGreaterThan(100);
});

test('every worker follows a change by another process', async () => {
  const { introspect, accessToken } = endpointsOf(url);
  const token = await accessToken(clients.shop);
  await beside.core.change((transaction) => disableClient(transaction, beside.core, actor, clients.shop.id));
  // Each request uses its own connection, and connections are assigned to the workers in turn.
  let inARow = 0;
  await eventually(async () => {
    inARow = (await introspect(clients.orders, token)).text === inactive ? inARow + 1 : 0;
    return inARow === 10;
  });
  await beside.core.change((transaction) => enableClient(transaction, beside.core, actor, clients.shop.id));
});

test('a worker that was killed is replaced', async () => {
  const [victim] = workers();
  await killWorker(victim as number);
  await readyWith(2);
  expect(workers()).not.toContain(victim);
});

test('the number of workers stays the same if SIGHUP arrives while a killed worker waits for its back-off', async () => {
  const before = workers();
  await killWorker(before[0] as number);
  supervisor.kill('SIGHUP');
  await eventually(async () => workers().length === 2 && !workers().some((pid) => before.includes(pid)));
  // Wait longer than the back-off, after which another start would be due.
  const counts: number[] = [];
  for (let round = 0; round < 20; round++) {
    counts.push(workers().length);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  expect(Math.max(...counts)).toBe(2);
});

test('workers keep running if a SIGHUP to the whole process group reaches them', async () => {
  const before = workers();
  for (const pid of before) process.kill(pid, 'SIGHUP');
  expect((await fetch(`${url}/readyz`, { headers: { connection: 'close' } })).status).toBe(200);
  expect(workers()).toEqual(before);
});

test('SIGTERM ends all workers with exit code 0', async () => {
  supervisor.kill('SIGTERM');
  const [code] = (await once(supervisor, 'exit')) as [number];
  expect(code).toBe(0);
  expect(workers()).toEqual([]);
});
