import { type ChildProcess, type StdioOptions, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';

export type ServerProcess = { pid: number; stop(): Promise<void> };

/** On Linux, servers run on the first core, and the load and the stores on the second. */
const canPin = availableParallelism() > 1 && spawnSync('taskset', ['-c', '0', 'true']).status === 0;

/** Moves this process, and everything that it starts afterwards, off the servers' core. */
export function leaveServersCore(): void {
  if (canPin) spawnSync('taskset', ['-a', '-c', '-p', '1', String(process.pid)]);
}

/**
 * Starts a server process and waits until `isReady`.
 * @throws {Error} if the process ends before that or takes longer than 20 s.
 */
export async function startServerProcess(options: {
  /** Pins the process to the servers' core unless false. */
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

/** Returns a process's resident memory in bytes; NaN where the system cannot report it. */
export function residentMegabytes(pid: number): number {
  try {
    return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]) / 1_024;
  } catch {
    return Number.NaN;
  }
}

/** Returns the processor time of a process and its threads in seconds; undefined where the system cannot report it. */
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
