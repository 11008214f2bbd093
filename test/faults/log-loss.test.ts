import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { childEnvironment } from '../child-environment.ts';
import { eventually } from '../eventually.ts';
import { freePort } from '../free-port.ts';
import { createTestStores, type Stores, startTestServer } from '../harness.ts';
import { endpointsOf, registerAll } from '../oauth/fixture.ts';
import { send } from '../oauth/http-client.ts';
import { program } from '../program.ts';

const directory = mkdtempSync(join(tmpdir(), 'keyturn-log-'));
const file = join(directory, 'log');
let stores: Stores;
let clients: Awaited<ReturnType<typeof registerAll>>;
let child: ChildProcess | undefined;

beforeAll(async () => {
  stores = await createTestStores();
  const server = await startTestServer({ stores });
  clients = await registerAll(server.core);
  await server.close();
});

afterEach(() => child?.kill('SIGKILL'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Commands that run `keyturn start` with standard output and error that cannot be written, at least not for long. */
const outputs: Record<string, (env: NodeJS.ProcessEnv) => ChildProcess> = {
  'a full disk': (env) => {
    const full = openSync('/dev/full', 'w');
    return spawn(process.execPath, [program, 'start'], { env, stdio: ['ignore', full, full] });
  },
  'a limit on the size of files': (env) =>
    spawn('sh', ['-c', `ulimit -f 8; exec "$0" "$1" start >"${file}" 2>&1`, process.execPath, program], {
      env,
      stdio: 'ignore',
    }),
  'a pipe that is closed': (env) => {
    const started = spawn(process.execPath, [program, 'start'], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    started.stdout?.destroy();
    started.stderr?.destroy();
    return started;
  },
  'a pipe that nobody reads': (env) =>
    spawn(process.execPath, [program, 'start'], { env, stdio: ['ignore', 'pipe', 'pipe'] }),
};

test.each([
  ['a full disk', 'dropping lines (ENOSPC)'],
  ['a limit on the size of files', 'dropping lines (EFBIG)'],
  ['a pipe that is closed', 'dropping lines (EPIPE)'],
  ['a pipe that nobody reads', 'ok'],
])('a server with its log in %s serves, reports lost lines, and exits with 0', async (name, state) => {
  const [port, adminPort] = [await freePort(), await freePort()];
  child = outputs[name]?.({
    ...childEnvironment(),
    DATABASE_URL: stores.databaseUrl,
    REDIS_URL: stores.redisUrl,
    KEYTURN_ROOT_KEY: stores.rootKey,
    KEYTURN_PORT: String(port),
    KEYTURN_ADMIN_PORT: String(adminPort),
  });
  const url = `http://localhost:${port}`;
  const ready = () => send(`${url}/readyz`).catch(() => undefined);
  await eventually(async () => (await ready())?.status === 200);
  const { token } = endpointsOf(url);
  // Write more than 64 KiB of lines, which is the capacity of a pipe.
  for (let round = 0; round < 40; round++) {
    const answers = await Promise.all(Array.from({ length: 10 }, () => token(clients.shop)));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  }
  await eventually(async () => JSON.stringify((await ready())?.json['checks']).includes(state));
  expect(await ready()).toMatchObject({ status: 200, json: { status: 'ready', checks: { log: state } } });
  const metrics = (await send(`http://localhost:${adminPort}/metrics`)).text;
  const lost = Number(/^keyturn_log_lines_lost_total (\d+)$/m.exec(metrics)?.[1]);
  expect(lost > 0).toBe(state !== 'ok');
  if (name.startsWith('a limit')) expect(readFileSync(file, 'utf8')).toContain('"msg":"Keyturn is ready"');

  const exit = once(child as ChildProcess, 'exit');
  child?.kill('SIGTERM');
  expect(await exit).toEqual([0, null]);
});
