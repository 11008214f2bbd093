import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { childEnvironment } from '../child-environment.ts';
import { program } from '../program.ts';

export type Ended = { code: number | null; stdout: string; stderr: string };
export type Environment = Readonly<Record<string, string>>;

/** Runs `keyturn …` in a separate process with only the given environment. */
export function runCommand(
  args: readonly string[],
  environment: Environment = {},
  input: string | Uint8Array = '',
): Promise<Ended> {
  const child = startCommand(args, environment);
  child.stdin.end(input);
  return ended(child);
}

/** Returns the JSON value that a command prints. The command must succeed. */
export async function runJson<Result = Record<string, unknown>>(
  args: readonly string[],
  environment: Environment = {},
): Promise<Result> {
  const { code, stdout, stderr } = await runCommand([...args, '--json'], environment);
  if (code !== 0) throw new Error(`keyturn ${args.join(' ')}: exit code ${code}: ${stderr}`);
  return JSON.parse(stdout) as Result;
}

export function startCommand(args: readonly string[], environment: Environment): ChildProcessWithoutNullStreams {
  return spawn(process.execPath, [program, ...args], { env: { ...childEnvironment(), ...environment } });
}

export function ended(child: ChildProcessWithoutNullStreams): Promise<Ended> {
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    stdout += chunk;
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}

/** Resolves to everything printed so far once it contains `text`. */
export function printed(child: ChildProcessWithoutNullStreams, text: string): Promise<string> {
  let seen = '';
  return new Promise((resolve, reject) => {
    const look = (chunk: Buffer) => {
      seen += chunk;
      if (seen.includes(text)) resolve(seen);
    };
    child.stdout.on('data', look);
    child.stderr.on('data', look);
    child.on('close', () => reject(new Error(`ended before it printed "${text}": ${seen}`)));
  });
}

/** Creates a separate embedded deployment on free ports. */
export async function createEmbedded(): Promise<{
  environment: Environment;
  dataDir: string;
  remove(): Promise<void>;
}> {
  const directory = await mkdtemp(join(tmpdir(), 'keyturn-cli-'));
  const dataDir = join(directory, 'data');
  const [port, adminPort] = await Promise.all([findFreePort(), findFreePort()]);
  return {
    environment: {
      KEYTURN_DATA_DIR: dataDir,
      KEYTURN_PORT: String(port),
      KEYTURN_ADMIN_PORT: String(adminPort),
      KEYTURN_ISSUER: `http://localhost:${port}`,
    },
    dataDir,
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}

async function findFreePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
