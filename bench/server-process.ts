import { type ChildProcess, type StdioOptions, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';

export type ServerProcess = { pid: number; stop(): Promise<void> };

/** Servers run on the first core; the load, and the stores that it starts, on the second. Elsewhere than on Linux, wherever they like. */
const canPin = availableParallelism() > 1 && spawnSync('taskset', ['-c', '0', 'true']).status === 0;

/** Moves this process, and whatever it starts from now on, off the core of the servers. */
export function leaveServersCore(): void {
  if (canPin) spawnSync('taskset', ['-a', '-c', '-p', '1', String(process.pid)]);
}

/**
 * Starts one server process and waits until `isReady`.
 * @throws {Error} when it ends before that, or takes longer than 20 s.
 */
export async function startServerProcess(options: {
  /** On the servers' core, unless it says otherwise. */
  on?: 'anywhere';
  args: readonly string[];
  env: Record<string, string>;
  stdio: StdioOptions;
  isReady: () => Promise<boolean>;
}): Promise<ServerProcess> {
  const cores = options.on === 'anywhere' ? `0-${cpus().length - 1}` : '0';
  const command = canPin ? ['taskset', '-c', cores, process.execPath] : [process.execPath];
  const [program = '', ...args] = [...command, ...options.args];
  const child = spawn(program, args, {
    stdio: options.stdio,
    env: { PATH: process.env['PATH'] ?? '', ...options.env },
  });
  const stop = () => end(child);
  const deadline = performance.now() + 20_000;
  while (!(await options.isReady().catch(() => false))) {
    if (child.exitCode !== null || performance.now() > deadline) {
      await stop();
      throw new Error(`${options.args.join(' ')} does not start`);
    }
    await delay(50);
  }
  return { pid: child.pid ?? 0, stop };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  const timer = setTimeout(() => child.kill('SIGKILL'), 12_000);
  child.kill('SIGTERM');
  await exited;
  clearTimeout(timer);
}

/** Memory that a process holds; NaN where the system does not tell it this way. */
export function residentMegabytes(pid: number): number {
  try {
    return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]) / 1_024;
  } catch {
    return Number.NaN;
  }
}

/** Seconds of processor time that a process has had, with all its threads; undefined where the system does not tell it this way. */
export function processorSeconds(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const ticksPerSecond = 100;
    return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
  } catch {
    return undefined;
  }
}
