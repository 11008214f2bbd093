import type { ServerResponse } from 'node:http';
import { setImmediate as turn } from 'node:timers/promises';
import type { Context, Next } from 'koa';
import type { Client } from '../clients/client.ts';
import type { Core } from '../core.ts';
import { KeyturnError, TooManyRequests } from '../errors.ts';
import type { Change } from '../storage/change.ts';
import { withDeadline } from '../storage/with-deadline.ts';
import { callerOf } from './client-authentication.ts';

/**
 * Serves `GET /oauth2/events`: notifies resource servers of revocations and changes, so that they drop cached tokens at
 * once.
 */
export type EventStreams = {
  serve(ctx: Context, next: Next): Promise<void>;
  /** Ends every stream. Listeners reconnect elsewhere and resume. */
  close(): void;
};

/**
 * Heartbeat interval. A listener that receives nothing for longer considers its connection lost and caches tokens for a
 * shorter time.
 */
const heartbeatMs = 3_000;
/** Maximum backlog of a listener. Slower ones are disconnected and can resume, so that memory stays bounded. */
const maxBufferedBytes = 256 * 1024;
/** Maximum size of a batch of events. For more changes, a `reset` costs listeners less than the single events. */
const maxBatchBytes = 64 * 1024;
/** Maximum numbers of open streams in one process: of one client, and of all. Each costs a socket and its buffers. */
const maxStreamsPerClient = 1_000;
const maxStreams = 10_000;
/** Listeners to write to per event loop turn, so that requests are served in between. */
const listenersPerTurn = 100;
/**
 * Maximum age of this process's knowledge of changes. Streams end when it is older, because an open stream without
 * events means that nothing was revoked.
 */
const maxLagMs = 5_000;
/** Maximum age of a resumable event. Changes are kept for a day; one hour less allows for clocks that differ. */
const maxAgeSeconds = 23 * 3_600;

export function createEventStreams({ feed, clock, metrics }: Core): EventStreams {
  const listeners = new Map<ServerResponse, string>();
  /** The number of open streams of each client, by its id. */
  const streamsOf = new Map<string, number>();
  /** Returns the time in seconds, by the clock that tokens are issued with. */
  const seconds = () => Math.floor(clock() / 1_000);

  /** Events to send, and the clients that must authenticate again. */
  let batch = emptyBatch();
  let isSending = false;

  feed.subscribe(
    (change) => {
      if (listeners.size === 0) return;
      if (batch.text.length <= maxBatchBytes) batch.text += presentEvent(change, seconds());
      batch.position = change.position;
      if (change.kind === 'client') batch.clients.add(change.target);
      if (!isSending) void sendAll();
    },
    resetAll,
    resetAll,
  );

  async function sendAll(): Promise<void> {
    isSending = true;
    // Write all changes of one event loop turn together.
    for (await turn(); batch.position !== undefined; await turn()) {
      const { text, position, clients } = batch;
      batch = emptyBatch();
      const sent = text.length > maxBatchBytes ? presentReset(position, seconds()) : text;
      await inTurns((response, clientId) => {
        send(response, sent);
        // Disconnect a resource server whose own credentials changed, so that it authenticates again.
        if (clients.has(clientId)) response.end();
      });
    }
    isSending = false;
  }

  /**
   * Sends a `reset` to every listener, because another database server took over and earlier events and positions are
   * invalid. Called again once all revocations of that server are known, because introspections may have been answered
   * without them in between.
   */
  function resetAll(): void {
    for (const response of listeners.keys()) send(response, presentReset(feed.position(), seconds()));
  }

  async function inTurns(send: (response: ServerResponse, clientId: string) => void): Promise<void> {
    let count = 0;
    for (const [response, clientId] of [...listeners]) {
      send(response, clientId);
      count += 1;
      if (count % listenersPerTurn === 0) await turn();
    }
  }

  const heartbeat = setInterval(() => {
    const alive = feed.lagMs() < maxLagMs;
    void inTurns((response) => {
      if (alive) send(response, ': heartbeat\n\n');
      else response.end();
    });
  }, heartbeatMs);
  heartbeat.unref();

  /** @throws {TooManyRequests} if the client, or all together, have too many open streams. */
  function add(response: ServerResponse, client: Client, clientId: string): void {
    // The caller disconnected meanwhile: `close` was already emitted, so the stream would never be removed.
    if (response.destroyed) return;
    const count = streamsOf.get(client.id) ?? 0;
    if (count >= maxStreamsPerClient || listeners.size >= maxStreams) {
      const limited = count >= maxStreamsPerClient ? 'This client' : 'The server';
      throw new TooManyRequests(`${limited} has too many open event streams. Close some, or try again later.`, 10);
    }
    streamsOf.set(client.id, count + 1);
    listeners.set(response, clientId);
    metrics.eventStreams(listeners.size);
    response.once('close', () => {
      const left = (streamsOf.get(client.id) ?? 1) - 1;
      if (left > 0) streamsOf.set(client.id, left);
      else streamsOf.delete(client.id);
      listeners.delete(response);
      metrics.eventStreams(listeners.size);
    });
  }

  async function readMissed(lastEventId: string): Promise<Change[] | undefined> {
    const [, position, at] = /^(c\d+\.\d+)-(\d+)$/.exec(lastEventId) ?? [];
    if (!position || seconds() - Number(at) > maxAgeSeconds) return undefined;
    return await feed.since(position);
  }

  return {
    serve: async (ctx, next) => {
      if (ctx.path !== '/oauth2/events') return await next();
      const { client, clientId } = callerOf(ctx);
      if (client.kind !== 'resource_server') {
        throw new KeyturnError('unauthorized_client', 403, 'Only resource servers can receive events.');
      }
      await feed.whenFresh();
      const lastEventId = ctx.get('Last-Event-ID');
      // Subscribe first and read the missed changes afterwards, so that none falls in between.
      const { res: response } = ctx;
      const position = feed.position();
      const missed = lastEventId ? await withDeadline(readMissed(lastEventId)) : [];
      add(response, client, clientId);
      ctx.respond = false;
      ctx.status = 200;
      response.writeHead(200, {
        ...ctx.response.headers,
        'content-type': 'text/event-stream',
        'cache-control': 'no-store',
        'x-accel-buffering': 'no',
      } as Record<string, string>);
      send(response, `id: ${position}-${seconds()}\nretry: 1000\n\n`);
      send(response, presentMissed(missed, position, seconds()));
      if (!lastEventId) return;
      // More may have changed during this query that this listener has not received yet.
      await feed.since(position).then(
        (meanwhile) => send(response, presentMissed(meanwhile, position, seconds())),
        () => response.end(),
      );
    },
    close: () => {
      clearInterval(heartbeat);
      for (const response of listeners.keys()) response.end();
    },
  };
}

function send(response: ServerResponse, text: string): void {
  if (text === '' || response.writableEnded || response.destroyed) return;
  response.write(text);
  if (response.writableLength > maxBufferedBytes) response.destroy();
}

function emptyBatch(): { text: string; position: string | undefined; clients: Set<string> } {
  return { text: '', position: undefined, clients: new Set() };
}

function presentMissed(missed: readonly Change[] | undefined, position: string, at: number): string {
  return missed ? missed.map((change) => presentEvent(change, at)).join('') : presentReset(position, at);
}

/** Formats an event that tells listeners to drop everything. */
function presentReset(position: string, at: number): string {
  return `id: ${position}-${at}\nevent: reset\ndata: {}\n\n`;
}

/**
 * Formats a change as an event; empty if it does not concern tokens. The id contains the position up to which the
 * listener is informed, and the time in seconds: missed changes are kept for a day only.
 */
function presentEvent({ kind, target, position }: Change, at: number): string {
  if (kind === 'all_clients') return presentReset(position, at);
  const data = eventData(kind, target);
  return data ? `id: ${position}-${at}\nevent: ${kind}\ndata: ${JSON.stringify(data)}\n\n` : '';
}

function eventData(kind: Change['kind'], target: string): Record<string, string> | undefined {
  switch (kind) {
    case 'token':
      // If a token was revoked while its record could not be read, its target is the jti followed by the owner.
      return { jti: target.split(' ', 1)[0] as string };
    case 'client':
      return { client_id: target };
    case 'access_key':
      return { access_key_id: target };
    case 'signing_keys':
      return {};
    case 'revoked_signing_key':
      return { kid: target };
    default:
      return undefined;
  }
}
