import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTls } from 'node:tls';
import { makeCertificate } from '../certificates.ts';

/** A receiver of the audit log, which keeps what it gets as the lines of a file. */
export type StreamReceiver = {
  url: string;
  lines: string[];
  headers: Record<string, unknown>[];
  /** The status that it answers with. */
  status: number;
  /** The body of its answer. */
  answer: string;
  /** Called before and after a request is kept. */
  at: (place: 'received' | 'kept') => Promise<void>;
  close(): Promise<void>;
};

/** Starts receivers with certificates of one CA on this machine. Returns the path of that CA too. */
export async function startReceivers() {
  const authority = makeCertificate({ subject: 'Receivers CA', isCa: true });
  const { cert, key } = makeCertificate({ subject: 'localhost', issuer: authority, dns: ['localhost'] });
  const ca = join(mkdtempSync(join(tmpdir(), 'keyturn-streams-')), 'ca.pem');
  writeFileSync(ca, authority.cert);

  const empty = () => ({ lines: [], headers: [], status: 200, answer: '{}', at: async () => undefined });

  async function startHttps(scheme: string, linesOf: (body: string) => string[]): Promise<StreamReceiver> {
    const server = createHttps({ cert, key }, (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => void chunks.push(chunk));
      request.on('end', async () => {
        await receiver.at('received');
        receiver.headers.push({ ...request.headers, path: request.url });
        if (receiver.status < 300) receiver.lines.push(...linesOf(Buffer.concat(chunks).toString('utf8')));
        await receiver.at('kept');
        response.writeHead(receiver.status).end(receiver.answer);
      });
    }).listen(0, 'localhost');
    await once(server, 'listening');
    const receiver: StreamReceiver = {
      ...empty(),
      url: `${scheme}://localhost:${(server.address() as AddressInfo).port}`,
      close: async () => void server.close(),
    };
    return receiver;
  }

  /** Reads frames of RFC 5425 §4.3: the length of a message in octets, a space, and the message. */
  async function startSyslog(): Promise<StreamReceiver> {
    const server = createTls({ cert, key }, (socket) => {
      let data = Buffer.alloc(0);
      socket.on('data', (chunk: Buffer) => {
        data = Buffer.concat([data, chunk]);
        for (;;) {
          const space = data.indexOf(' ');
          const length = Number(data.subarray(0, Math.max(space, 0)).toString());
          if (space < 1 || data.length < space + 1 + length) return;
          receiver.lines.push(data.subarray(space + 1, space + 1 + length).toString('utf8'));
          data = data.subarray(space + 1 + length);
        }
      });
      socket.on('error', () => undefined);
    }).listen(0, 'localhost');
    await once(server, 'listening');
    const receiver: StreamReceiver = {
      ...empty(),
      url: `syslog+tls://localhost:${(server.address() as AddressInfo).port}`,
      close: async () => void server.close(),
    };
    return receiver;
  }

  const jsonLines = (body: string) => body.split('\n').filter(Boolean);
  return {
    ca,
    https: await startHttps('https', jsonLines),
    otlp: await startHttps('otlp+https', (body) => [body]),
    syslog: await startSyslog(),
  };
}
