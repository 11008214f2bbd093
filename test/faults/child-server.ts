import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { childEnvironment } from '../child-environment.ts';
import type { Stores } from '../harness.ts';

/** `keyturn start` in a separate process. */
export type ChildServer = {
  process: ChildProcess;
  publicUrl: string;
  /** Log lines so far. */
  lines: string[];
  /**
   * Sends SIGTERM and waits for the exit. Resolves to the exit code, or the signal that killed the process.
   */
  terminate(): Promise<number | NodeJS.Signals | null>;
};

/** @param preloaded files that the process imports before the server. */
export async function startChildServer(
  stores: Stores,
  env: Record<string, string> = {},
  preloaded: readonly string[] = [],
): Promise<ChildServer> {
  const imports = [...preloaded, './test/patient-stores.ts'].flatMap((file) => ['--import', file]);
  const child = spawn(process.execPath, [...imports, 'src/main.ts', 'start'], {
    env: {
      ...childEnvironment(),
      DATABASE_URL: stores.databaseUrl,
      REDIS_URL: stores.redisUrl,
      KEYTURN_ROOT_KEY: stores.rootKey,
      KEYTURN_ALLOWED_HOSTS: '127.0.0.1',
      KEYTURN_PORT: '0',
      KEYTURN_ADMIN_PORT: '0',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  const { promise: started, resolve } = Promise.withResolvers<string>();
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      const url = /"public":"([^"]+)"/.exec(line)?.[1];
      if (url !== undefined) resolve(url);
    });
  }
  const ended = once(child, 'exit').then(() => {
    throw new Error(`no start:\n${lines.join('\n')}`);
  });
  const publicUrl = await Promise.race([started, ended]);
  return {
    process: child,
    publicUrl,
    lines,
    terminate: async () => {
      if (child.exitCode === null && child.signalCode === null) {
        const exit = once(child, 'exit');
        child.kill('SIGTERM');
        await exit;
      }
      return child.exitCode ?? child.signalCode;
    },
  };
}
