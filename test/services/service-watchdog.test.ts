import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventually } from '../eventually.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** A process that starts a server with a child process, as a test run starts its stores. */
async function startHolder(): Promise<{ holder: ChildProcess; directory: string; pids: number[] }> {
  const directory = await mkdtemp(join(tmpdir(), 'keyturn-test-'));
  const command = ['sh', '-c', 'trap "" TERM; sleep 600 & echo $$ $! ready; wait'];
  const script = `
    import { startWatched } from './test/services/service-start.ts';
    startWatched(${JSON.stringify({ directory, server: { command } })});
    setInterval(() => {}, 1000);`;
  const holder = spawn(process.execPath, ['--input-type=module', '--eval', script], { cwd: root, stdio: 'inherit' });
  const log = () => readFile(join(directory, 'log'), 'utf8').catch(() => '');
  await eventually(async () => (await log()).includes('ready'));
  return { holder, directory, pids: (await log()).split(' ').slice(0, 2).map(Number) };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test.each(['SIGKILL', 'SIGINT', 'SIGTERM'] as const)(
  'a run that ends by %s leaves no process and no directory behind',
  async (signal) => {
    const { holder, directory, pids } = await startHolder();
    expect(pids.map(isAlive)).toEqual([true, true]);
    const exited = once(holder, 'exit');
    holder.kill(signal);
    await exited;
    await eventually(() => !pids.some(isAlive) && !existsSync(directory));
  },
);
