import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';

export type Received = {
  id: string;
  type: string;
  subject: string;
  // biome-ignore lint/suspicious/noExplicitAny: a test checks the shape.
  event: any;
  headers: IncomingHttpHeaders;
  body: string;
};

/** A receiver of webhooks on this machine, which verifies signatures with an independent library. */
export async function startReceiver() {
  const received: Received[] = [];
  const state = {
    status: 204,
    /** Called with each request before it is answered. */
    onRequest: undefined as ((received: Received) => void | Promise<void>) | undefined,
  };
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk;
    });
    request.on('end', () => {
      const event = JSON.parse(body);
      const { headers } = request;
      const each = {
        id: String(headers['webhook-id']),
        type: event.type,
        subject: event.subject,
        event,
        headers,
        body,
      };
      void Promise.resolve(state.onRequest?.(each)).then(() => {
        if (state.status < 300) received.push(each);
        response.writeHead(state.status, state.status === 302 ? { Location: 'http://127.0.0.1:1/' } : {});
        response.end('x'.repeat(200_000));
      });
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hooks`,
    received,
    state,
    /** Returns whether a secret verifies what was received. The library checks the timestamp by the time of this machine. */
    verifies: (secret: string, { body, headers }: Received): boolean => {
      try {
        new Webhook(secret).verify(body, headers as Record<string, string>);
        return true;
      } catch {
        return false;
      }
    },
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
