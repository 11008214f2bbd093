import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
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
import { setTimeout as delay } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import { requireSafeUrl } from './remote-server.ts';
import { CommandEnd, duration, type OutputOptions, present, say, toJson } from './terminal.ts';

type AgentOptions = OutputOptions & {
  issuer: string;
  file: string;
  pidFile?: string;
  signal: NodeJS.Signals;
  run?: string;
  overlap: number;
  until: 'first-use' | 'finished';
  wait: number;
  every: number;
};

/** The file of the program. Other members of it are kept. */
type Credentials = { client_id: string; client_secret: string; previous_client_secret?: string };

/** The rotation that is under way. It is stored before the first request, so that the agent can continue. */
type Started = { idempotency_key: string; overlap_seconds: number };

/** Members of an answer of the rotation endpoint that the agent uses. */
type Rotation = {
  regeneration_id: string;
  state: 'overlapping' | 'finished' | 'undone';
  client_id: string;
  client_secret?: string;
  previous: { retires_at: string | null };
  first_used_at: string | null;
  not_moved_count: number;
};

/** Adds `agent`, which rotates the secret of a program on the same machine. */
export function addAgentCommand(program: Command): void {
  program
    .command('agent')
    .description(
      'rotate the secret of a program on this machine: write the new one, notify the program, wait for its use',
    )
    .requiredOption('--issuer <url>', 'the public URL of the server, such as https://auth.example.com')
    .requiredOption('--file <file>', 'a JSON file with client_id and client_secret, which the program reads')
    .option('--pid-file <file>', 'a file with the process ID of the program, to send it a signal')
    .addOption(
      new Option('--signal <signal>', 'the signal').default('SIGHUP').choices(['SIGHUP', 'SIGUSR1', 'SIGUSR2']),
    )
    .addOption(new Option('--run <command>', 'a shell command that notifies the program').conflicts('pidFile'))
    .addOption(
      new Option('--overlap <time>', 'the grace period, from 1h to 30d').default(86_400, '24h').argParser(duration),
    )
    .addOption(
      new Option(
        '--until <event>',
        'when the rotation is proven: at the first use of the new secret, or when all have moved',
      )
        .default('finished')
        .choices(['first-use', 'finished']),
    )
    .addOption(new Option('--wait <time>', 'how long to wait for that').default(93_600, '26h').argParser(duration))
    .addOption(new Option('--every <time>', 'how often to ask for the progress').default(30, '30s').argParser(duration))
    .option('--json', 'print one JSON object at the end')
    .addHelpText(
      'after',
      `
Examples:
  keyturn agent --issuer https://auth.example.com --file /run/sync/client.json --pid-file /run/sync.pid
  keyturn agent --issuer https://auth.example.com --file client.json --run 'systemctl reload sync' --until first-use

An operator allows it with \`keyturn clients update CLIENT_ID --self-rotation\`. The file is replaced atomically, with mode
0600 and the same owner. It has the new secret as client_secret and, while both work, the earlier one as
previous_client_secret. FILE.rotation is what the agent needs to continue after an interruption: run it again.
The exit code is 0 if the rotation is proven, and 1 if it was rejected or undone, or took longer than --wait.`,
    )
    .action(async (options: AgentOptions) => {
      const { client_secret: _secret, ...rotation } = await rotate(options);
      present(options.json ? { json: true } : {}, rotation, () =>
        rotation.state === 'finished'
          ? 'The new secret is in use, and the previous one has ended.'
          : `The new secret is in use. The previous one ends at ${rotation.previous.retires_at}.`,
      );
    });
}

async function rotate(options: AgentOptions): Promise<Rotation> {
  const endpoint = `${requireSafeUrl(options.issuer, '--issuer')}/oauth2/credentials/rotate`;
  const endsAt = Date.now() + options.wait * 1_000;
  let credentials = readCredentials(options.file);
  const started = begin(options);
  const ask = () => askUntil(endsAt, options.every, () => request(endpoint, credentials, started));
  let rotation = await ask();
  const { client_secret: secret } = rotation;
  if (secret !== undefined && secret !== credentials.client_secret) {
    credentials = {
      ...credentials,
      client_id: rotation.client_id,
      client_secret: secret,
      previous_client_secret: credentials.client_secret,
    };
    replaceFile(options.file, credentials);
    say(`wrote the new secret to ${options.file}`);
  }
  // Also if the file was written before an interruption: the program may not have been notified.
  if (rotation.state === 'overlapping') await notify(options);
  while (rotation.state === 'overlapping' && !(options.until === 'first-use' && rotation.first_used_at !== null)) {
    if (Date.now() >= endsAt) throw late(rotation);
    await delay(options.every * 1_000);
    rotation = await ask();
  }
  return await end(options, credentials, rotation);
}

function late({ first_used_at: usedAt, not_moved_count: count, previous }: Rotation): CommandEnd {
  const reason = usedAt === null ? 'The new secret was not used yet.' : `Not moved: ${count} sources.`;
  return new CommandEnd(
    1,
    `error: ${reason} Both secrets work until ${previous.retires_at}. Run the agent again to continue to wait.`,
  );
}

/** Leaves the file with the secret that is valid from now on. */
async function end(options: AgentOptions, credentials: Credentials, rotation: Rotation): Promise<Rotation> {
  if (rotation.state === 'overlapping') {
    // It is proven, so the next run starts another rotation.
    rmSync(`${options.file}.rotation`, { force: true });
    return rotation;
  }
  const { previous_client_secret: previous, ...others } = credentials;
  const isUndone = rotation.state === 'undone';
  replaceFile(options.file, isUndone && previous !== undefined ? { ...others, client_secret: previous } : others);
  if (isUndone) await notify(options);
  rmSync(`${options.file}.rotation`, { force: true });
  if (isUndone)
    throw new CommandEnd(1, 'error: An operator has undone the rotation. The file has the previous secret.');
  return rotation;
}

/** Reads the rotation that was interrupted, or starts one. */
function begin({ file, overlap }: AgentOptions): Started {
  const place = `${file}.rotation`;
  const earlier = readJson(place) as Started | undefined;
  if (earlier) return earlier;
  const started = { idempotency_key: randomUUID(), overlap_seconds: overlap };
  replaceFile(place, started);
  return started;
}

type Outcome = { rotation: Rotation } | { retry: string };

/** Repeats a request that the server could not answer. @throws {CommandEnd} 1 if it was rejected, or cannot be made in time. */
async function askUntil(endsAt: number, everySeconds: number, ask: () => Promise<Outcome>): Promise<Rotation> {
  for (;;) {
    const outcome = await ask();
    if ('rotation' in outcome) return outcome.rotation;
    if (Date.now() >= endsAt) throw new CommandEnd(1, `error: ${outcome.retry}`);
    say(`waiting: ${outcome.retry}`);
    await delay(everySeconds * 1_000);
  }
}

const timeoutMs = 30_000;

async function request(endpoint: string, credentials: Credentials, started: Started): Promise<Outcome> {
  const pair = [credentials.client_id, credentials.client_secret].map(encodeURIComponent).join(':');
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: {
      Authorization: `Basic ${Buffer.from(pair).toString('base64')}`,
      'Idempotency-Key': started.idempotency_key,
      'User-Agent': 'keyturn-agent',
    },
    body: new URLSearchParams({ overlap_seconds: String(started.overlap_seconds), finish_when_unused: 'true' }),
    redirect: 'error',
    signal: AbortSignal.timeout(timeoutMs),
  }).catch((error: Error) => ({ failure: error.cause instanceof Error ? error.cause.message : error.message }));
  if ('failure' in response) return { retry: `The server cannot be reached: ${response.failure}.` };
  const body = (await response.json().catch(() => ({}))) as Rotation & { error?: string; error_description?: string };
  if (response.ok && body.state) return { rotation: body };
  const { previous_client_secret: previous, ...current } = credentials;
  // After an undo, only the previous secret is accepted.
  if (response.status === 401 && previous !== undefined) {
    return await request(endpoint, { ...current, client_secret: previous }, started);
  }
  const said = body.error_description ?? `The server answered with status ${response.status}.`;
  if (response.status >= 500 || response.status === 429 || body.error === 'answer_not_kept') return { retry: said };
  throw new CommandEnd(1, `error: ${said}`);
}

/** Notifies the program that its file has changed. @throws {CommandEnd} 1 if it cannot be notified. */
async function notify({ pidFile, signal, run }: AgentOptions): Promise<void> {
  if (pidFile !== undefined) {
    const pid = Number(readText(pidFile)?.trim());
    if (!Number.isSafeInteger(pid) || pid < 2) throw new CommandEnd(1, `error: ${pidFile} has no process ID.`);
    try {
      process.kill(pid, signal);
    } catch (error) {
      throw new CommandEnd(1, `error: Process ${pid} cannot be sent ${signal}: ${(error as Error).message}.`);
    }
    return;
  }
  if (run === undefined) return;
  const child = spawn(run, { shell: true, stdio: ['ignore', 2, 2] });
  const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve));
  if (code !== 0) throw new CommandEnd(1, `error: The command of --run ended with ${code}.`);
}

function readCredentials(file: string): Credentials {
  const credentials = readJson(file) as Credentials | undefined;
  if (typeof credentials?.client_id === 'string' && typeof credentials.client_secret === 'string') return credentials;
  throw new CommandEnd(2, `error: --file: ${file} must contain JSON with client_id and client_secret.`);
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

function readText(file: string): string | undefined {
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
