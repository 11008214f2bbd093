import {
  chownSync,
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { CommandEnd, toJson } from '../terminal.ts';
import type { CredentialStore, Credentials, Started } from './credential-store.ts';

/** Opens a JSON file with the credential of a program. The rotation is in a file beside it. */
export function openCredentialFile(file: string): CredentialStore {
  const rotation = `${file}.rotation`;
  let written = '';
  return {
    name: file,
    read: async () => {
      const credentials = readJson(file) as Credentials | undefined;
      if (typeof credentials?.client_id !== 'string') {
        throw new CommandEnd(2, `error: --file: ${file} must contain JSON with client_id and client_secret.`);
      }
      written = toJson(credentials);
      return { credentials, started: readJson(rotation) as Started | undefined };
    },
    write: async ({ credentials, started }) => {
      if (toJson(credentials) !== written) replaceFile(file, credentials);
      written = toJson(credentials);
      // Last, because the agent cannot continue without it.
      if (started) replaceFile(rotation, started);
      else rmSync(rotation, { force: true });
    },
  };
}

function readJson(file: string): unknown {
  const text = readText(file);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw new CommandEnd(2, `error: ${file} is not JSON.`);
  }
}

/** Returns the text of a file, or undefined if it does not exist. @throws {CommandEnd} 2 if it cannot be read. */
export function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new CommandEnd(2, `error: ${file} cannot be read: ${(error as Error).message}.`);
  }
}

/** Replaces a file so that a reader, or a crash, never sees a part of it. It has mode 0600 and keeps its owner. */
function replaceFile(file: string, value: object): void {
  const part = `${file}.part`;
  rmSync(part, { force: true });
  // `wx` follows no link that somebody has put there.
  const descriptor = openSync(part, 'wx', 0o600);
  try {
    writeSync(descriptor, `${toJson(value)}\n`);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  const owner = statSync(file, { throwIfNoEntry: false });
  if (owner && process.getuid?.() === 0) chownSync(part, owner.uid, owner.gid);
  renameSync(part, file);
  const directory = openSync(dirname(file), 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
