import type { Log } from '../observability/log.ts';
import { readTlsFiles, type TlsFiles } from './tls-files.ts';

const lookEveryMs = 1_000;

export type FollowedTlsFiles = {
  /** Returns the contents in use. */
  current(): TlsFiles;
  /** Registers a callback for contents that have changed and can be used. */
  onChange(use: (files: TlsFiles) => void): void;
  stop(): void;
};

/**
 * Reads the files again every second. Tools that renew certificates write them in place, move them into place or
 * replace a parent symlink, and no file watcher detects all of these. Contents that cannot be used, such as a
 * certificate without its matching key, are logged, and the previous contents stay in use.
 */
export function followTlsFiles(paths: TlsFiles, log: Log): FollowedTlsFiles {
  const listeners: ((files: TlsFiles) => void)[] = [];
  let current = readTlsFiles(paths);
  let problem: string | undefined;

  function look(): void {
    try {
      const files = readTlsFiles(paths);
      problem = undefined;
      if (sameFiles(files, current)) return;
      for (const use of listeners) use(files);
      current = files;
      log.info('reloaded TLS certificate');
    } catch (error) {
      const { message } = error as Error;
      if (message !== problem)
        log.warn({ error: message }, 'failed to load changed TLS files, still using the previous ones');
      problem = message;
    }
  }

  const isUsed = Object.values(paths).some((path) => path !== undefined);
  const timer = isUsed ? setInterval(look, lookEveryMs).unref() : undefined;
  return {
    current: () => current,
    onChange: (use) => void listeners.push(use),
    stop: () => clearInterval(timer),
  };
}

function sameFiles(some: TlsFiles, others: TlsFiles): boolean {
  return some.cert === others.cert && some.key === others.key && some.clientCa === others.clientCa;
}
