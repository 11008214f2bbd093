import { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { serverProcessId } from '../internals/pg.ts';
import type { Log } from '../observability/log.ts';

/** Poll interval behind a pooler, which does not forward notifications. */
const pollBehindPoolerMs = 500;

/** Runs LISTEN on a separate connection, which is replaced when it breaks. Returns a function that stops listening. */
export async function listenToPostgres(
  createClient: (stream: () => Socket) => pg.Client,
  log: Log,
  channel: string,
  onNotification: () => void,
): Promise<() => Promise<void>> {
  const sockets = trackSockets();
  let client: pg.Client | undefined;
  let retry: NodeJS.Timeout | undefined;
  let polling: NodeJS.Timeout | undefined;
  let closed = false;

  async function connect(): Promise<void> {
    const connecting = createClient(sockets.open);
    let lost = false;
    const reconnect = (reason: string) => {
      if (lost || closed) return;
      lost = true;
      log.warn({ reason }, 'lost the LISTEN connection, polling for changes until it is back');
      connecting.end().catch(() => undefined);
      retry = setTimeout(() => void connect(), 1_000);
      retry.unref();
    };
    connecting.on('error', (error) => reconnect(error.message));
    connecting.on('end', () => reconnect('the connection ended'));
    connecting.on('notification', onNotification);
    try {
      await connecting.connect();
      if (await isPooled(connecting)) {
        lost = true;
        await connecting.end();
        if (closed) return;
        log.info('DATABASE_URL leads to a connection pooler without LISTEN, polling for changes twice a second');
        polling = setInterval(onNotification, pollBehindPoolerMs);
        polling.unref();
        return;
      }
      await connecting.query(`LISTEN ${pg.escapeIdentifier(channel)}`);
      client = connecting;
      onNotification();
    } catch (error) {
      reconnect((error as Error).message);
    }
  }

  await connect();
  return async () => {
    closed = true;
    clearTimeout(retry);
    clearInterval(polling);
    await Promise.race([client?.end().catch(() => undefined), delay(goodbyeMs, undefined, { ref: false })]);
    // Also close a connection that is still being opened.
    sockets.destroy();
  };
}

/** Maximum wait for a session to end. If the network drops packets, the server's closing message never arrives. */
export const goodbyeMs = 2_000;

/** Keeps track of sockets so that all of them can be destroyed at once. */
export function trackSockets(): { open: () => Socket; destroy: () => void } {
  const sockets = new Set<Socket>();
  return {
    open: () => {
      const socket = new Socket();
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      return socket;
    },
    destroy: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Detects a pooler such as PgBouncer in front of the server: it reports its own process id. */
export async function isPooled(client: pg.ClientBase): Promise<boolean> {
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  // Without the ID, assume a pooler: then no setting is left behind on a connection of others.
  return rows[0]?.pid !== serverProcessId(client);
}
