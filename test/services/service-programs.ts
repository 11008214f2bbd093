import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync, globSync, readFileSync } from 'node:fs';
import { chown, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '../free-port.ts';
import { type Answers, awaitAnswer, type Service, startWatched } from './service-start.ts';

/** How to start a private instance of an installed program. */
export type Program = {
  /** Candidate programs in the order in which they are tried. */
  names: readonly string[];
  debianPackage: string;
  /** Returns the command, and the files to write into the server's own directory first. */
  prepare: (place: { program: string; directory: string; port: number }) => {
    files: Record<string, string>;
    command: readonly string[];
  };
  url: (port: number) => string;
  answers: Answers;
};

/**
 * Starts the program on a free port of 127.0.0.1 in its own temporary directory.
 * @throws if the program does not exist or does not start.
 */
export async function startProgram(wanted: Program): Promise<Service> {
  const program = findProgram(wanted.names);
  if (!program) throw new Error(`no ${wanted.names.join(' or ')} on this machine`);
  const user = unprivilegedUser();
  const directory = await mkdtemp(join(tmpdir(), 'keyturn-test-'));
  const port = await freePort();
  const { files, command } = wanted.prepare({ program, directory, port });
  for (const [name, text] of Object.entries(files)) {
    await writeFile(join(directory, name), text, { mode: 0o600 });
    if (user) await chown(join(directory, name), user.uid, user.gid);
  }
  if (user) await chown(directory, user.uid, user.gid);
  const watched = startWatched({ directory, server: { command, ...user } });
  const url = wanted.url(port);
  try {
    await awaitAnswer(() => wanted.answers(url), watched);
    return { url, stop: watched.stop };
  } catch (error) {
    const log = await readFile(join(directory, 'log'), 'utf8').catch(() => '');
    await watched.stop();
    await rm(directory, { recursive: true, force: true });
    throw new Error(`${program}: ${(error as Error).message} ${log.trim().split('\n').slice(-5).join(' | ')}`);
  }
}

/**
 * Installs a Debian package without starting its service.
 * @throws if this is not Debian or the user is not root.
 */
export async function installOnDebian(debianPackage: string): Promise<void> {
  if (!existsSync('/etc/debian_version')) throw new Error('this is not Debian');
  if (process.getuid?.() !== 0) throw new Error('apt-get needs root');
  installing = installing.catch(() => undefined).then(() => install(debianPackage));
  await installing;
}

/** Runs one apt-get at a time, because apt-get holds a lock. */
let installing: Promise<unknown> = Promise.resolve();

async function install(debianPackage: string): Promise<void> {
  const script = `set -e
    if [ ! -e /usr/sbin/policy-rc.d ]; then
      trap 'rm -f /usr/sbin/policy-rc.d' EXIT
      printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d
      chmod 755 /usr/sbin/policy-rc.d
    fi
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "$1"`;
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  await promisify(execFile)('sh', ['-c', script, 'install', debianPackage], { env, maxBuffer: 2 ** 26 });
}

export function findProgram(names: readonly string[]): string | undefined {
  const ofDebian = globSync('/usr/lib/postgresql/*/bin').sort((a, b) => versionOf(b) - versionOf(a));
  const path = (process.env['PATH'] ?? '').split(delimiter).filter(Boolean);
  const directories = [...path, '/usr/local/bin', '/usr/bin', '/usr/local/pgsql/bin', ...ofDebian];
  return names.flatMap((name) => directories.map((directory) => join(directory, name))).find(isExecutable);
}

function versionOf(directory: string): number {
  return Number.parseFloat(dirname(directory).split('/').pop() ?? '') || 0;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The user for PostgreSQL, which refuses to run as root. Undefined means the current user. */
export function unprivilegedUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const users = readFileSync('/etc/passwd', 'utf8').split('\n');
  for (const name of ['postgres', 'nobody']) {
    const [, , uid, gid] = users.find((line) => line.startsWith(`${name}:`))?.split(':') ?? [];
    if (uid && gid) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new Error('root may not run PostgreSQL, and there is no user "postgres" or "nobody"');
}
