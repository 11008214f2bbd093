import type { ServerResponse } from 'node:http';
import { setImmediate as turn } from 'node:timers/promises';
import type { Context, Next } from 'koa';
import type { Core } from '../core.ts';
import { KeyturnError } from '../errors.ts';
import type { Change } from '../storage/change-feed.ts';
import { withDeadline } from '../storage/with-deadline.ts';
import { callerOf } from './client-authentication.ts';

/** `GET /oauth2/events`: tells resource servers what ended or changed, so that their caches forget it at once. */
export type EventStreams = {
  serve(ctx: Context, next: Next): Promise<void>;
  /** Ends every stream; who listened comes back elsewhere and resumes. */
  close(): void;
};

/** A listener that hears nothing for longer takes its connection for dead, and trusts its cache for a shorter time. */
const heartbeatMs = 3_000;
/** A listener that reads slower than this buffers for is cut off: it resumes, and no memory piles up here. */
const maxBufferedBytes = 256 * 1024;
/** When so much changes at once, to forget everything costs less than to hear of each. */
const maxBatchBytes = 64 * 1024;
/** So many listeners are told in one turn; then requests have theirs. */
const listenersPerTurn = 100;
/** When this process does not learn of changes itself, a stream that stays open would say "nothing ended". */
const maxLagMs = 5_000;
/** Changes are kept for a day; an hour less leaves room for clocks that differ. */
const maxAgeSeconds = 23 * 3_600;

export function createEventStreams({ feed, clock }: Core): EventStreams {
  const listeners = new Map<ServerResponse, string>();
  /** By the clock that tokens are issued by. */
  const seconds = () => Math.floor(clock() / 1_000);

  /** What is to be told, and to whom it means that they authenticate again. */
  let batch = emptyBatch();
  let isTelling = false;

  feed.subscribe((change) => {
    if (listeners.size === 0) return;
    if (batch.text.length <= maxBatchBytes) batch.text += presentEvent(change, seconds());
    batch.position = change.position;
    if (change.kind === 'client') batch.clients.add(change.target);
    if (!isTelling) void tellAll();
  }, resetAll);

  async function tellAll(): Promise<void> {
    isTelling = true;
    // What changes in one turn is written once.
    for (await turn(); batch.position !== undefined; await turn()) {
      const { text, position, clients } = batch;
      batch = emptyBatch();
      const told = text.length > maxBatchBytes ? presentReset(position, seconds()) : text;
      await inTurns((response, clientId) => {
        send(response, told);
        // A resource server whose own credentials changed authenticates again.
        if (clients.has(clientId)) response.end();
      });
    }
    isTelling = false;
  }

  /** Another database server took over: what any listener was told, and from where it would resume, is worth nothing. */
  function resetAll(): void {
    for (const response of listeners.keys()) send(response, presentReset(feed.position(), seconds()));
  }

  async function inTurns(tell: (response: ServerResponse, clientId: string) => void): Promise<void> {
    let count = 0;
    for (const [response, clientId] of [...listeners]) {
      tell(response, clientId);
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

  async function readMissed(lastEventId: string): Promise<Change[] | undefined> {
    const [, position, at] = /^(\d+\.\d+)-(\d+)$/.exec(lastEventId) ?? [];
    if (!position || seconds() - Number(at) > maxAgeSeconds) return undefined;
    return await feed.since(position);
  }

  return {
    serve: async (ctx, next) => {
      if (ctx.path !== '/oauth2/events') return await next();
      const { client, clientId } = callerOf(ctx);
      if (client.kind !== 'resource_server') {
        throw new KeyturnError('unauthorized_client', 403, 'Events are for resource servers.');
      }
      feed.requireFresh();
      const lastEventId = ctx.get('Last-Event-ID');
      // From here on it hears of new changes; what it missed before is read after, so that nothing falls between.
      const { res: response } = ctx;
      const position = feed.position();
      const missed = lastEventId ? await withDeadline(readMissed(lastEventId)) : [];
      ctx.respond = false;
      ctx.status = 200;
      response.writeHead(200, {
        ...ctx.response.headers,
        'content-type': 'text/event-stream',
        'cache-control': 'no-store',
        'x-accel-buffering': 'no',
      } as Record<string, string>);
      listeners.set(response, clientId);
      response.once('close', () => listeners.delete(response));
      send(response, `id: ${position}-${seconds()}\nretry: 1000\n\n`);
      send(response, presentMissed(missed, position, seconds()));
      if (!lastEventId) return;
      // While it was waited for that, more may have changed, and not been told to this listener yet.
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

/** Everything may have changed. */
function presentReset(position: string, at: number): string {
  return `id: ${position}-${at}\nevent: reset\ndata: {}\n\n`;
}

/**
 * The event of a change, or nothing where it does not concern tokens. Its id says up to where the listener has been told, and when, in
 * seconds: after a day, what it missed is no longer kept.
 */
function presentEvent({ kind, target, position }: Change, at: number): string {
  const data = eventData(kind, target);
  return data ? `id: ${position}-${at}\nevent: ${kind}\ndata: ${JSON.stringify(data)}\n\n` : '';
}

function eventData(kind: Change['kind'], target: string): Record<string, string> | undefined {
  switch (kind) {
    case 'token':
      // A token that was revoked while its record could not be read is announced with its owner behind the jti.
      return { jti: target.split(' ', 1)[0] as string };
    case 'client':
      return { client_id: target };
    case 'access_key':
      return { access_key_id: target };
    default:
      return undefined;
  }
}
