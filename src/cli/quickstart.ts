import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import type { Config } from '../config.ts';
import { UsageError } from '../errors.ts';
import { readCommandConfig } from './stores.ts';
import { type OutputOptions, paint, print, say } from './terminal.ts';

type Options = OutputOptions & { once?: true; verbose?: true };

export function addQuickstartCommand(program: Command): void {
  program
    .command('quickstart')
    .description(
      'start a server, register an integration, get a token and rotate the secret; prints each step as a curl command',
    )
    .option('--once', 'exit after the last step; otherwise the server keeps running')
    .option('--verbose', 'print the whole body of each response')
    .option('--json', 'print one JSON object after the last step')
    .addHelpText(
      'after',
      `
Examples:
  keyturn quickstart
  keyturn quickstart --once
  KEYTURN_PORT=4100 KEYTURN_ADMIN_PORT=4101 keyturn quickstart   # if port 4000 is in use

Without DATABASE_URL, all data is stored in KEYTURN_DATA_DIR (./data) and reused by the next run.`,
    )
    .action(quickstart);
}

async function quickstart(options: Options): Promise<void> {
  const config = forThisMachine(readCommandConfig());
  if (!options.json) print(introduction(config));
  const [{ walkThroughQuickstart }, { openCore }, { startServer }, { createLog }] = await Promise.all([
    import('./quickstart-walk.ts'),
    import('../core.ts'),
    import('../server.ts'),
    import('../observability/log.ts'),
  ]);
  const log = createLog(config.logLevel === 'info' ? 'warn' : config.logLevel, process.stderr.fd);
  const core = await openCore(config, log);
  try {
    const server = await startServer(core).catch(suggestPorts);
    try {
      const ended = endOfProcess();
      const urls = { publicUrl: withLocalhost(server.publicUrl), adminUrl: server.adminUrl };
      const newLink = await walkThroughQuickstart(core, urls, options);
      if (options.once) return;
      say(
        paint(
          'dim',
          'The server keeps running. Press Enter for a new link, Ctrl-C to stop the server.',
          process.stderr,
        ),
      );
      const stopReading = onEnter(async () => say(`Console: ${await newLink()}`));
      await ended;
      stopReading();
    } finally {
      await server.close();
    }
  } finally {
    await core.close();
  }
}

/**
 * Returns the configuration without TLS, because the quickstart calls the server as localhost, which no certificate
 * names.
 */
function forThisMachine(config: Config): Config {
  const issuer = config.issuer.replace(/^https:(?=\/\/localhost(:|$))/, 'http:');
  const tlsFiles = { cert: undefined, key: undefined, clientCa: undefined };
  return { ...config, issuer, tlsFiles, allowedHosts: [...config.allowedHosts, 'localhost'] };
}

function withLocalhost(url: string): string {
  return url.replace('//127.0.0.1:', '//localhost:');
}

/** Adds how to choose other ports, because a port in use is the most common failure of a first start. */
function suggestPorts(error: unknown): never {
  if (!(error instanceof UsageError)) throw error;
  throw new UsageError(`${error.message} For example: KEYTURN_PORT=4100 KEYTURN_ADMIN_PORT=4101 npm run quickstart`);
}

function endOfProcess(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGINT', () => resolve());
    process.once('SIGTERM', () => resolve());
  });
}

/** Calls `act` for each line of standard input. Returns a function that stops reading. */
function onEnter(act: () => Promise<void>): () => void {
  const report = (error: Error) => say(`error: ${error.message}`);
  // A background process that reads a terminal gets SIGTTIN, which would suspend it, and then EIO.
  process.on('SIGTTIN', () => undefined);
  process.stdin.on('error', () => undefined);
  const lines = createInterface({ input: process.stdin }).on('line', () => act().catch(report));
  return () => {
    lines.close();
    process.stdin.destroy();
  };
}

function introduction({ databaseUrl, dataDir }: Config): string {
  return `${paint('bold', 'Keyturn quickstart')}
Starts a server with its data ${databaseUrl ? 'in the database of DATABASE_URL' : `in ${dataDir}`}, registers an API and
an integration, gets a token, and rotates the secret of the integration while it keeps calling.`;
}
