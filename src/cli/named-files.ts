import { readFileSync } from 'node:fs';
import { InvalidArgumentError } from 'commander';
import type { Json } from './call-admin.ts';
import { CommandEnd } from './terminal.ts';

/**
 * Reads files that options and arguments name. No message contains a part of a file, or its name: people also write the
 * secret itself in place of the name of its file.
 */

/**
 * Reads a file with a secret. @param option named in the message, such as `--secret-file`.
 * @param file `0` reads standard input.
 * @throws {CommandEnd} 2 if it cannot be read.
 */
export function readSecretFile(option: string, file: string | 0): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new CommandEnd(2, `error: ${option}: The file cannot be read: ${codeOf(error)}.`);
  }
}

/** Parses the value of an option that names a JSON file. @throws {InvalidArgumentError} */
export function readJsonFile(path: string): Json {
  const text = readNamedFile(path);
  try {
    return JSON.parse(text) as Json;
  } catch {
    // The message of the parser quotes the text, and a JWK can be a private key by mistake.
    throw new InvalidArgumentError('The file is not JSON.');
  }
}

/** Parses the value of an option that names a text file in UTF-8. @throws {InvalidArgumentError} */
export function readNamedFile(path: string): string {
  try {
    return new TextDecoder().decode(readFileSync(path));
  } catch (error) {
    throw new InvalidArgumentError(`The file cannot be read: ${codeOf(error)}.`);
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? 'unknown error';
}
