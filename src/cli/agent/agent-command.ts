import { spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import { requireSafeUrl } from '../remote-server.ts';
import { CommandEnd, duration, type OutputOptions, present, say } from '../terminal.ts';
import { begin, isCurrent, nextOf, withNext, withoutPrevious, withPrevious } from './agent-credential.ts';
import { openCredentialFile, readText } from './credential-file.ts';
import { type CredentialStore, StoreBusy, type Stored } from './credential-store.ts';
import { defaultServiceAccount, openKubernetesSecret, restartDeployment } from './kubernetes-secret.ts';
import { type Outcome, type Rotation, requestRotation } from './request-rotation.ts';

type AgentOptions = OutputOptions & {
  issuer: string;
  file?: string;
  kubernetesSecret?: string;
  serviceAccount: string;
  restart?: string;
  pidFile?: string;
  signal: NodeJS.Signals;
  run?: string;
  overlap: number;
  until: 'first-use' | 'finished';
  wait: number;
  every: number;
};

/** Adds `agent`, which rotates the secret or the key of a program beside it. */
export function addAgentCommand(program: Command): void {
  program
    .command('agent')
    .description(
      'rotate the secret or the key of a program: write the new one to a file or a Kubernetes Secret, notify the program, wait for its use',
    )
    .requiredOption('--issuer <url>', 'the public URL of the server, such as https://auth.example.com')
    .addOption(
      new Option(
        '--file <file>',
        'a JSON file with client_id, and client_secret or private_key, which the program reads',
      ).conflicts('kubernetesSecret'),
    )
    .option(
      '--kubernetes-secret <name>',
      'a Secret with the same members, in the namespace of this Pod or namespace/name',
    )
    .option('--service-account <directory>', 'where token, ca.crt and namespace are mounted', defaultServiceAccount)
    .addOption(
      new Option(
        '--restart <deployment>',
        'a Deployment to restart, if its program does not read the Secret again',
      ).conflicts(['pidFile', 'run']),
    )
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
  keyturn agent --issuer https://auth.example.com --kubernetes-secret sync-client

An operator allows it with \`keyturn clients update CLIENT_ID --self-rotation\`. The file is replaced atomically, with mode
0600 and the same owner. It has the new secret as client_secret and, while both work, the earlier one as
previous_client_secret. A client that authenticates with a key has a private JWK as private_key; the agent generates the
next one, and only its public part leaves the machine. FILE.rotation, or the member rotation of the Secret, is what the
agent needs to continue after an interruption: run it again.
The exit code is 0 if the rotation is proven, and 1 if it was rejected or undone, or took longer than --wait.`,
    )
    .action(async (options: AgentOptions) => {
      const { client_secret: _secret, ...rotation } = await rotate(options, openStore(options));
      present(options.json ? { json: true } : {}, rotation, () =>
        rotation.state === 'finished'
          ? 'The new credential is in use, and the previous one has ended.'
          : `The new credential is in use. The previous one ends at ${rotation.previous.retires_at}.`,
      );
    });
}

function openStore({ file, kubernetesSecret, serviceAccount }: AgentOptions): CredentialStore {
  if (kubernetesSecret !== undefined) return openKubernetesSecret(kubernetesSecret, serviceAccount);
  if (file !== undefined) return openCredentialFile(file);
  throw new CommandEnd(2, 'error: Say where the credential is with --file or --kubernetes-secret.');
}

async function rotate(options: AgentOptions, store: CredentialStore): Promise<Rotation> {
  const issuer = requireSafeUrl(options.issuer, '--issuer');
  const endsAt = Date.now() + options.wait * 1_000;
  const retry = <T>(work: () => Promise<Outcome<T>>) => untilDone(endsAt, options.every, work);
  const persist = (stored: Stored) => retry(() => whenFree(() => store.write(stored)));
  let { credentials, started: earlier } = await retry(() => whenFree(() => store.read()));
  const started = earlier ?? (await begin(credentials, options.overlap));
  if (!earlier) await persist({ credentials, started });
  const ask = () => retry(() => requestRotation(issuer, credentials, started));
  let rotation = await ask();
  const next = nextOf(started, rotation);
  if (rotation.state !== 'undone' && next !== undefined && !isCurrent(credentials, next)) {
    credentials = withNext(credentials, rotation.client_id, next);
    await persist({ credentials, started });
    say(`wrote the new credential to ${store.name}`);
  }
  // Also if it was written before an interruption: the program may not have been notified.
  if (rotation.state === 'overlapping') await retry(() => whenFree(() => notify(options)));
  while (rotation.state === 'overlapping' && !(options.until === 'first-use' && rotation.first_used_at !== null)) {
    if (Date.now() >= endsAt) throw late(rotation);
    await delay(options.every * 1_000);
    rotation = await ask();
  }
  // It is proven, so the next run starts another rotation.
  if (rotation.state === 'overlapping') await persist({ credentials, started: undefined });
  if (rotation.state === 'finished') await persist({ credentials: withoutPrevious(credentials), started: undefined });
  if (rotation.state !== 'undone') return rotation;
  await persist({ credentials: withPrevious(credentials) ?? credentials, started: undefined });
  await retry(() => whenFree(() => notify(options)));
  throw new CommandEnd(1, `error: An operator has undone the rotation. ${store.name} has the previous credential.`);
}

function late({ first_used_at: usedAt, not_moved_count: count, previous }: Rotation): CommandEnd {
  const reason = usedAt === null ? 'The new credential was not used yet.' : `Not moved: ${count} sources.`;
  return new CommandEnd(
    1,
    `error: ${reason} Both credentials work until ${previous.retires_at}. Run the agent again to continue to wait.`,
  );
}

/** Repeats what cannot be done now. @throws {CommandEnd} 1 if it was rejected, or cannot be done in time. */
async function untilDone<T>(endsAt: number, everySeconds: number, work: () => Promise<Outcome<T>>): Promise<T> {
  for (;;) {
    const outcome = await work();
    if ('done' in outcome) return outcome.done;
    if (Date.now() >= endsAt) throw new CommandEnd(1, `error: ${outcome.retry}`);
    say(`waiting: ${outcome.retry}`);
    await delay(everySeconds * 1_000);
  }
}

async function whenFree<T>(work: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return { done: await work() };
  } catch (error) {
    if (error instanceof StoreBusy) return { retry: error.message };
    throw error;
  }
}

/** Notifies the program that its credential has changed. @throws {CommandEnd} 1 if it cannot be notified. */
async function notify({ pidFile, signal, run, restart, serviceAccount }: AgentOptions): Promise<void> {
  if (restart !== undefined) return await restartDeployment(restart, serviceAccount);
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
