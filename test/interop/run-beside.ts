import { chmod, mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { awaitAnswer, startWatched } from '../services/service-start.ts';

type Beside = {
  files: Record<string, string>;
  /** Returns the command to run. @param directory the working directory, which contains the files. */
  command: (directory: string) => readonly string[];
  /** Rejects until the program serves requests. */
  answers: () => Promise<unknown>;
  /** Milliseconds in which it must serve requests; 30 seconds by default. */
  withinMs?: number;
};

/** Runs another server in a temporary directory, until it is stopped or this process ends. */
export async function runBeside({ files, command, answers, withinMs }: Beside): Promise<{ stop: () => Promise<void> }> {
  const directory = await mkdtemp(join(tmpdir(), 'keyturn-beside-'));
  // Let the server's workers read the directory, which may run as another user.
  await chmod(directory, 0o755);
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(directory, name)), { recursive: true });
    await writeFile(join(directory, name), text);
  }
  const watched = startWatched({ directory, server: { command: command(directory), signal: 'SIGTERM' } });
  try {
    await awaitAnswer(async () => void (await answers()), watched, withinMs);
  } catch (error) {
    const log = await readFile(join(directory, 'log'), 'utf8').catch(() => '');
    await watched.stop();
    throw new Error(`${(error as Error).message}\n${log.slice(-4_000)}`);
  }
  return watched;
}

/** Returns a shipped configuration with the replacements that its users must make. */
export async function shippedFile(
  path: string,
  changes: readonly (readonly [from: string, to: string])[],
): Promise<string> {
  let text = await readFile(path, 'utf8');
  for (const [from, to] of changes) {
    if (!text.includes(from)) throw new Error(`${path} does not say ${from}`);
    text = text.replaceAll(from, to);
  }
  return text;
}
