import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Command } from 'commander';
import type { Config } from '../config.ts';
import { readCommandConfig } from './stores.ts';
import { CommandEnd, type OutputOptions, present } from './terminal.ts';

const timeoutMs = 2_000;

export function addHealthCommand(program: Command): void {
  program
    .command('health')
    .description('ask the running server on this machine for /healthz; for health checks of containers')
    .option('--json', 'one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  keyturn health

Reads the same variables as \`keyturn start\`. Exit code 0 when the server answers 200, otherwise 1.`,
    )
    .action(async (options: OutputOptions) => {
      const status = await askHealth(readCommandConfig()).catch((error: Error) => {
        throw new CommandEnd(1, `The server does not answer: ${error.message}`);
      });
      if (status !== 200) throw new CommandEnd(1, `The server answered ${status}.`);
      present(options, { status: 'ok' }, () => 'ok');
    });
}

function askHealth({ host, port, tlsFiles }: Config): Promise<number | undefined> {
  // A listener on every address is asked over loopback; one on a single address answers only there.
  const address = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  const options = { host: address, port, path: '/healthz', timeout: timeoutMs, agent: false };
  return new Promise((resolve, reject) => {
    // The certificate names the issuer's host, not this address.
    const request = tlsFiles.cert ? httpsRequest({ ...options, rejectUnauthorized: false }) : httpRequest(options);
    request.once('response', (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.once('timeout', () => request.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    request.once('error', reject);
    request.end();
  });
}
