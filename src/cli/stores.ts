import { userInfo } from 'node:os';
import { type Config, readConfig } from '../config.ts';
import { configWarnings } from '../configuration/environment.ts';
import { permissions } from '../contacts/contact.ts';
import type { Grantor } from '../contacts/grantor.ts';
import type { Core } from '../core.ts';
import { UsageError } from '../errors.ts';
import type { Log } from '../observability/log.ts';
import { isRemote, type RemoteServer, readRemoteServer } from './remote-server.ts';
import { CommandEnd, say } from './terminal.ts';

/** Reads the configuration. @throws {CommandEnd} 2 if it is not usable. */
export function readCommandConfig(): Config {
  try {
    return readConfig();
  } catch (error) {
    if (error instanceof UsageError) throw new CommandEnd(2, error.message);
    throw error;
  }
}

/** A target for calls of the admin API by commands: the stores in this process, or a running server. */
export type Admin = Core | RemoteServer;

/**
 * Does work that consists of calls of the admin API: on a running server if the command line or the environment names
 * one, otherwise on the stores.
 * @param needsTokens whether the work issues or looks up tokens, which may be in Redis.
 */
export async function withAdmin<T>(work: (admin: Admin) => Promise<T>, needsTokens = false): Promise<T> {
  const remote = readRemoteServer();
  if (remote) return await work(remote);
  const config = readCommandConfig();
  return await withOpened(needsTokens ? config : withoutRedis(config), work);
}

/**
 * Opens all stores except Redis, does the work and closes them. Running servers follow changes of the database.
 * @param why the reason why the admin API of a running server cannot do the work, as a sentence.
 * @throws {CommandEnd} 2 with this reason if the command line or the environment names a running server.
 */
export async function withDatabase<T>(why: string, work: (core: Core) => Promise<T>): Promise<T> {
  if (isRemote()) {
    // A command that ignores the server that it was given would change another one.
    throw new CommandEnd(
      2,
      `error: ${why} Run the command on the server, without --url, --profile, KEYTURN_URL and KEYTURN_PROFILE.`,
    );
  }
  return await withOpened(withoutRedis(readCommandConfig()), work);
}

/** Redis contains only tokens, and may be unavailable. */
function withoutRedis(config: Config): Config {
  return { ...config, redisUrl: undefined };
}

async function withOpened<T>(config: Config, work: (core: Core) => Promise<T>): Promise<T> {
  // Only commands that need the stores load them, so that `--help` is faster.
  const { openCore } = await import('../core.ts');
  const { setStoreDeadline } = await import('../storage/with-deadline.ts');
  // A command has no caller who would ask another process instead, unlike a request to the server.
  setStoreDeadline(5_000);
  sayWarnings(config);
  const core = await openCore(config, await commandLog(config));
  try {
    return await work(core);
  } finally {
    await core.close();
  }
}

/** Prints warnings about the configuration to standard error. */
export function sayWarnings(config: Config): void {
  for (const warning of configWarnings(config)) say(`warning: ${warning}`);
}

/**
 * Creates a log on standard error, because standard output is for the result. It contains errors only by default,
 * because the command itself reports what failed.
 */
export async function commandLog({ logLevel }: Config): Promise<Log> {
  const { createLog } = await import('../observability/log.ts');
  return createLog(logLevel === 'info' || logLevel === 'warn' ? 'error' : logLevel, process.stderr.fd);
}

/**
 * Returns the actor for the audit log: the system user, with every permission, because access to the stores allows
 * everything anyway.
 */
export function commandActor(): Grantor {
  const user = systemUser();
  return { id: `cli:${user}`, name: `${user} (command line)`, address: null, permissions, organizationId: null };
}

function systemUser(): string {
  try {
    return userInfo().username;
  } catch {
    // In a container, the user often has only a number.
    return String(process.getuid?.() ?? 'unknown');
  }
}
