import { fstatSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { CommandEnd, toJson } from './terminal.ts';

/** Where `keyturn apply` writes the secrets that it generates, once. */
export type SecretsOutput = {
  write(secrets: readonly object[]): void;
  /** Removes the file after a failure, because its secrets do not exist. */
  discard(): void;
};

/**
 * Opens the output before anything is changed, so that no secret is generated that cannot be written.
 * @throws {CommandEnd} 2 if the file exists or cannot be created, or the descriptor is not open.
 */
export function openSecretsOutput(options: { secretsTo?: string; secretsFd?: number }): SecretsOutput | undefined {
  const { secretsTo: file, secretsFd: descriptor } = options;
  if (file !== undefined) return openFile(file);
  if (descriptor === undefined) return undefined;
  try {
    fstatSync(descriptor);
  } catch {
    throw new CommandEnd(2, `error: --secrets-fd: The file descriptor ${descriptor} is not open.`);
  }
  return {
    write: (secrets) => writeAll(descriptor, secrets, `file descriptor ${descriptor}`),
    discard: () => undefined,
  };
}

function openFile(file: string): SecretsOutput {
  let descriptor: number;
  try {
    // `wx` follows no link, and overwrites no secrets of an earlier apply.
    descriptor = openSync(file, 'wx', 0o600);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === 'EEXIST' ? `${file} exists already. Move it away, or name another file.` : `${message}.`;
    throw new CommandEnd(2, `error: --secrets-to: ${reason}`);
  }
  return {
    write: (secrets) => {
      writeAll(descriptor, secrets, file);
      fsyncSync(descriptor);
    },
    discard: () => rmSync(file, { force: true }),
  };
}

function writeAll(descriptor: number, secrets: readonly object[], name: string): void {
  const bytes = Buffer.from(`${toJson(secrets)}\n`);
  try {
    for (let written = 0; written < bytes.length; ) written += writeSync(descriptor, bytes, written);
  } catch (error) {
    throw new CommandEnd(1, `error: The secrets cannot be written to ${name}: ${(error as Error).message}.`);
  }
}
