import { readdirSync, readFileSync } from 'node:fs';
import { chown, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../eventually.ts';
import { unprivilegedUser } from '../services/service-programs.ts';
import { startWatched } from '../services/service-start.ts';

/**
 * Related servers in one directory, such as a primary and its replicas. Each can be killed, stopped and started again.
 */
export type ProgramGroup = {
  directory: string;
  start(name: string): Promise<void>;
  /** Sends a signal to a server and its processes. With SIGKILL, waits for its exit. */
  signal(name: string, signal: NodeJS.Signals): Promise<void>;
  log(name: string): Promise<string>;
  stop(): Promise<void>;
};

/** Shell script that waits for a write to NAME.start, runs NAME.sh, and repeats this after it has exited. */
const keeper = `for name in "$@"; do
  mkfifo "$name.start"
  while read -r _ <"$name.start"; do
    sh "./$name.sh" >>"$name.log" 2>&1 &
    echo $! >"$name.pid.new"; mv "$name.pid.new" "$name.pid"
    wait $!
    rm -f "$name.pid"
  done &
done
touch ready
wait`;

/**
 * Starts a keeper for several programs.
 * @param programs shell scripts by name, which end with the server's `exec`. They run in the group's directory when
 * they are started.
 * @param files further files in that directory.
 */
export async function startProgramGroup(
  programs: Readonly<Record<string, string>>,
  files: Readonly<Record<string, string>> = {},
): Promise<ProgramGroup> {
  const user = unprivilegedUser();
  const directory = await mkdtemp(join(tmpdir(), 'keyturn-test-'));
  const scripts = Object.entries(programs).map(([name, script]) => [`${name}.sh`, script] as const);
  for (const [name, text] of [...scripts, ...Object.entries(files)]) {
    await writeFile(join(directory, name), text, { mode: 0o600 });
    if (user) await chown(join(directory, name), user.uid, user.gid);
  }
  if (user) await chown(directory, user.uid, user.gid);
  const command = ['sh', '-c', keeper, 'keeper', ...Object.keys(programs)];
  const watched = startWatched({ directory, server: { command, ...user } });
  const read = (name: string) => readFile(join(directory, name), 'utf8').catch(() => '');
  const group: ProgramGroup = {
    directory,
    start: async (name) => {
      const fifo = await open(join(directory, `${name}.start`), 'w');
      await fifo.write('\n');
      await fifo.close();
      await eventually(async () => (await read(`${name}.pid`)) !== '');
    },
    signal: async (name, signal) => {
      const pid = Number(await read(`${name}.pid`));
      if (signal !== 'SIGKILL') {
        // Signal the parent first, because a stopped process starts no more children.
        process.kill(pid, signal);
        for (const child of childrenOf(pid)) signalIfThere(child, signal);
        return;
      }
      process.kill(pid, 'SIGSTOP');
      await eventually(() => stateOf(pid)?.state === 'T');
      const children = childrenOf(pid);
      for (const each of [...children, pid]) signalIfThere(each, signal);
      // PostgreSQL does not start as long as a process of the previous one still holds its memory.
      await eventually(() => children.every((child) => (stateOf(child)?.state ?? 'Z') === 'Z'));
      await eventually(async () => (await read(`${name}.pid`)) === '');
    },
    log: (name) => read(`${name}.log`),
    stop: async () => {
      await watched.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
  await eventually(async () => (await readFile(join(directory, 'ready')).catch(() => undefined)) !== undefined);
  return group;
}

/** Sends a signal, and ignores a process that has already exited. */
function signalIfThere(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function childrenOf(pid: number): number[] {
  const processes = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry));
  return processes.map(Number).filter((each) => stateOf(each)?.parent === pid);
}

/** Returns the state of a process, such as `T` if it is stopped, and its parent; undefined if it does not exist. */
function stateOf(pid: number): { state: string; parent: number } | undefined {
  try {
    // The name in parentheses may contain any character. After it come the state and the parent.
    const [, state = '', parent] = /\) (\S) (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? [];
    return { state, parent: Number(parent) };
  } catch {
    return undefined;
  }
}
