import { chmod, mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { awaitAnswer, startWatched } from '../service-start.ts';

type Beside = {
  files: Record<string, string>;
  /** @param directory where the files are, and what the program writes goes. */
  command: (directory: string) => readonly string[];
  /** Rejects until it serves. */
  answers: () => Promise<unknown>;
};

/** Runs somebody else's server beside ours, in a directory of its own, until it is stopped or this process ends. */
export async function runBeside({ files, command, answers }: Beside): Promise<{ stop: () => Promise<void> }> {
  const directory = await mkdtemp(join(tmpdir(), 'keyturn-beside-'));
  // Its workers may run as somebody else.
  await chmod(directory, 0o755);
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(directory, name)), { recursive: true });
    await writeFile(join(directory, name), text);
  }
  const watched = startWatched({ directory, server: { command: command(directory), signal: 'SIGTERM' } });
  try {
    await awaitAnswer(async () => void (await answers()), watched);
  } catch (error) {
    const log = await readFile(join(directory, 'log'), 'utf8').catch(() => '');
    await watched.stop();
    throw new Error(`${(error as Error).message}\n${log.slice(-4_000)}`);
  }
  return watched;
}

/** A configuration as it is shipped, with what its user must change changed. */
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
