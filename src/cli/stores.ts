import { userInfo } from 'node:os';
import { type Config, readConfig } from '../config.ts';
import { configWarnings } from '../configuration/config-warnings.ts';
import type { Grantor } from '../contacts/manage-contacts.ts';
import { permissions } from '../contacts/permission.ts';
import type { Core } from '../core.ts';
import { UsageError } from '../errors.ts';
import { createLog, type Log } from '../observability/log.ts';
import { CommandEnd, say } from './terminal.ts';

/** The configuration; a wrong one is a wrong call of the command. */
export function readCommandConfig(): Config {
  try {
    return readConfig();
  } catch (error) {
    if (error instanceof UsageError) throw new CommandEnd(2, error.message);
    throw error;
  }
}

/** Opens all stores, does the work, closes them: for what makes a token. */
export function withStores<T>(work: (core: Core) => Promise<T>): Promise<T> {
  return withOpened(readCommandConfig(), work);
}

/** The same without Redis, which only tokens are in: it may be away. Running servers follow the database by themselves. */
export function withDatabase<T>(work: (core: Core) => Promise<T>): Promise<T> {
  return withOpened({ ...readCommandConfig(), redisUrl: undefined }, work);
}

async function withOpened<T>(config: Config, work: (core: Core) => Promise<T>): Promise<T> {
  // The stores are loaded by the commands that need them: `--help` answers sooner without.
  const { openCore } = await import('../core.ts');
  sayWarnings(config);
  const core = await openCore(config, commandLog(config));
  try {
    return await work(core);
  } finally {
    await core.close();
  }
}

/** Prints what is suspicious in the configuration to standard error. */
export function sayWarnings(config: Config): void {
  for (const warning of configWarnings(config)) say(`warning: ${warning}`);
}

/** On standard error, for standard output is the result's. What goes wrong is told by the command itself, so little is left. */
export function commandLog({ logLevel }: Config): Log {
  return createLog(logLevel === 'info' || logLevel === 'warn' ? 'error' : logLevel, process.stderr.fd);
}

/** Who acts in the audit log: whoever may reach the stores may do everything there anyway. */
export function commandActor(): Grantor {
  const user = systemUser();
  return { id: `cli:${user}`, name: `${user} (command line)`, address: null, permissions };
}

function systemUser(): string {
  try {
    return userInfo().username;
  } catch {
    // In a container, the user often has a number alone.
    return String(process.getuid?.() ?? 'unknown');
  }
}
