import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { isSigningSecret, refusalOfWebhook } from '../webhooks/webhook-signature.ts';
import { callAdmin, type Json, type Page } from './call-admin.ts';
import { readSecretFile } from './named-files.ts';
import { withAdmin } from './stores.ts';
import { CommandEnd, type OutputOptions, plain, print, say } from './terminal.ts';

/** A delivery with its event, as the admin API lists it. */
export type ShownDelivery = {
  event: Json & { id: string; type: string; subject?: string; time: string };
  state: string;
  attempts: number;
  reason: string | null;
  settled_at: string | null;
};

type ListenOptions = OutputOptions & {
  port: number;
  secretFile?: string;
  poll?: string;
  every: number;
  count?: number;
};

const maxBytes = 1024 * 1024;

/** Adds `webhooks listen`, which prints events while a receiver is developed. */
export function addListenCommand(webhooks: Command): void {
  webhooks
    .command('listen')
    .description(
      'print events while you develop: receives them on this machine, or follows the deliveries of a webhook',
    )
    .addOption(new Option('--port <port>', 'the port on 127.0.0.1').default(4010).argParser(port))
    .option(
      '--secret-file <file>',
      'a file with the signing secret; events without its signature are answered with 401',
    )
    .addOption(
      new Option(
        '--poll <id>',
        'follow the deliveries of this webhook instead, if the server cannot reach this machine',
      ).conflicts(['port', 'secretFile']),
    )
    .addOption(new Option('--every <seconds>', 'with --poll, how often to ask').default(2).argParser(port))
    .addOption(new Option('--count <number>', 'end after so many events').argParser(port))
    .option('--json', 'print each event as one line of JSON')
    .addHelpText(
      'after',
      `
Examples:
  keyturn webhooks listen --secret-file signing-secret
  keyturn webhooks listen --poll 0d6c1c52-5b0e-4a2f-9d38-7c1b6f1a2e90 --json

A server on the same machine reaches http://127.0.0.1:4010 with KEYTURN_WEBHOOK_NETWORKS=127.0.0.0/8.`,
    )
    .action(async (options: ListenOptions) => {
      if (options.poll === undefined) await receive(options);
      else await follow(options, options.poll);
    });
}

function port(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
  throw new InvalidArgumentError('It must be a whole number up to 65535.');
}

/** Receives events over HTTP until it is interrupted, or has received enough. */
async function receive(options: ListenOptions): Promise<void> {
  const secret = options.secretFile === undefined ? undefined : readSecret(options.secretFile);
  let received = 0;
  const server = createServer((request, response) => {
    void read(request).then((body) => {
      const refusal = body === undefined ? 'the body is too large' : refuse(request, body, secret);
      if (refusal !== undefined) {
        say(`rejected: ${refusal}`);
        response.writeHead(401).end();
        return;
      }
      response.writeHead(204).end();
      show(options, JSON.parse(body as string) as ShownDelivery['event']);
      received += 1;
      if (received === options.count) server.close();
    });
  });
  server.listen(options.port, '127.0.0.1');
  await once(server, 'listening').catch((error: NodeJS.ErrnoException) => {
    throw new CommandEnd(1, `error: Port ${options.port} cannot be used: ${error.code}.`);
  });
  const { port: own } = server.address() as AddressInfo;
  say(`listening on http://127.0.0.1:${own}${secret === undefined ? ', without checking signatures' : ''}`);
  await once(server, 'close');
}

function refuse(request: IncomingMessage, body: string, secret: string | undefined): string | undefined {
  if (request.method !== 'POST') return 'not a POST request';
  const header = (name: string) => request.headersDistinct[name]?.[0];
  const refusal =
    secret === undefined
      ? undefined
      : refusalOfWebhook(
          secret,
          {
            'webhook-id': header('webhook-id'),
            'webhook-timestamp': header('webhook-timestamp'),
            'webhook-signature': header('webhook-signature'),
          },
          body,
          Date.now(),
        );
  if (refusal !== undefined) return refusal;
  try {
    return typeof (JSON.parse(body) as Json)['type'] === 'string' ? undefined : 'the body is not an event';
  } catch {
    return 'the body is not JSON';
  }
}

async function read(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Prints what is delivered to a webhook from now on, until it is interrupted. */
async function follow(options: ListenOptions, id: string): Promise<void> {
  const known = new Set<string>();
  let isFirst = true;
  let printed = 0;
  say(`following the deliveries of ${id}`);
  await withAdmin(async (admin) => {
    for (;;) {
      const { data } = await callAdmin<Page<ShownDelivery>>(admin, 'GET /webhooks/{id}/deliveries', {
        params: { id },
        query: { limit: '200' },
      });
      for (const { event, state } of data.toReversed()) {
        const isKnown = known.has(event.id);
        known.add(event.id);
        if (isFirst || isKnown) continue;
        show(options, event, state);
        printed += 1;
        if (printed === options.count) return;
      }
      isFirst = false;
      await delay(options.every * 1_000);
    }
  });
}

function readSecret(file: string): string {
  const secret = readSecretFile('--secret-file', file);
  if (isSigningSecret(secret)) return secret;
  throw new CommandEnd(2, `error: --secret-file: ${file} must contain a signing secret, which begins with whsec_.`);
}

function show({ json }: OutputOptions, event: ShownDelivery['event'], state?: string): void {
  if (json) {
    print(JSON.stringify(event));
    return;
  }
  const { time, type, subject = '', id } = event;
  const about = ((event['data'] as Json | undefined)?.['subject'] as { name?: string } | undefined)?.name ?? '';
  print(plain([time, type, subject, about && `"${about}"`, state ?? '', id].filter(Boolean).join('  ')));
}
