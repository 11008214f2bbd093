import { type ChildProcess, spawn } from 'node:child_process';
import { openSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { askEngine, type Engine } from './service-engine.ts';

/**
 * Watchdog process for a store: holds a pipe from the process that uses the store, and when the pipe closes for any
 * reason, ends the server, its containers and its directory. Started by `startWatched`, which passes the task as an
 * argument.
 */

export type WatchedTask = {
  /** Directory that is removed at the end; the server's output is in its `log` file. */
  directory?: string;
  server?: {
    command: readonly string[];
    uid?: number;
    gid?: number /** That ends it; SIGQUIT unless told. */;
    signal?: NodeJS.Signals;
  };
  /** Containers with this label are removed at the end. */
  containers?: { engine: Engine; label: string };
};

const task = JSON.parse(process.argv[2] ?? '{}') as WatchedTask;
let ending: Promise<void> | undefined;
let asked = false;

const server = start();
process.stdin.on('data', () => {
  asked = true;
});
for (const event of ['end', 'close', 'error'] as const) process.stdin.on(event, () => end());
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => end());

function start(): ChildProcess | undefined {
  const { directory, server: wanted } = task;
  const [program, ...parameters] = wanted?.command ?? [];
  if (!wanted || !directory || !program) return undefined;
  const log = openSync(join(directory, 'log'), 'a');
  const child = spawn(program, parameters, {
    cwd: directory,
    detached: true, // a group of its own, so that all of it can be ended
    stdio: ['ignore', log, log],
    env: { PATH: process.env['PATH'], HOME: directory, LC_ALL: 'C', TZ: 'UTC' },
    ...(wanted.uid === undefined ? {} : { uid: wanted.uid }),
    ...(wanted.gid === undefined ? {} : { gid: wanted.gid }),
  });
  child.on('error', () => process.exit(1));
  child.on('exit', () => ending ?? process.exit(1));
  return child;
}

function end(): void {
  ending ??= Promise.all([endServer(), removeContainers()])
    .then(() => (task.directory ? rm(task.directory, { recursive: true, force: true, maxRetries: 10 }) : undefined))
    .then(
      () => process.exit(0),
      () => process.exit(1),
    );
}

async function endServer(): Promise<void> {
  if (!server?.pid || server.exitCode !== null || server.signalCode !== null) return;
  const exited = new Promise((resolve) => server.once('exit', resolve));
  // SIGQUIT is PostgreSQL's immediate shutdown, and ends Redis too. No written data is needed any more.
  process.kill(-server.pid, task.server?.signal ?? 'SIGQUIT');
  await Promise.race([exited, delay(5_000)]);
  try {
    // Kill the rest of the process group: the server if it did not end, and children that it left behind.
    process.kill(-server.pid, 'SIGKILL');
  } catch {
    // The group is empty.
  }
  await exited;
}

/**
 * Searches for containers for a while: a killed process may have just requested one that the engine is still creating.
 */
async function removeContainers(): Promise<void> {
  if (!task.containers) return;
  const { engine, label } = task.containers;
  const filters = encodeURIComponent(JSON.stringify({ label: [label] }));
  const until = Date.now() + (asked ? 0 : 5_000);
  for (;;) {
    const answer = await askEngine(engine, 'GET', `/containers/json?all=1&filters=${filters}`);
    for (const { Id } of JSON.parse(answer) as { Id: string }[]) {
      await askEngine(engine, 'DELETE', `/containers/${Id}?force=1&v=1`).catch(() => undefined);
    }
    if (Date.now() >= until) return;
    await delay(250);
  }
}
