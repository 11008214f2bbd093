/** One event of `GET /oauth2/events`. */
export type ServerEvent = {
  event: string;
  data: string;
  /** The time at which the server sent it, by its own clock, in seconds since 1970-01-01 UTC. */
  at: number;
};

export type EventStreamOptions = {
  issuer: string;
  clientId: string;
  clientSecret: string;
  fetch: typeof globalThis.fetch;
  onEvent: (event: ServerEvent) => void;
  /**
   * Called when events begin to arrive.
   * @param resumed true if the events since the last connection follow; false if only those after `at` do.
   */
  onConnected: (resumed: boolean, at: number) => void;
  /** Called for all received data, including heartbeats: every event up to then has been received. */
  onHeard: () => void;
  onDisconnected: () => void;
};

/** Silence after which a connection counts as lost. The server sends a heartbeat every three seconds. */
const silenceMs = 8_000;
const firstRetryMs = 250;
const maxRetryMs = 10_000;

/** Follows the server's events until closed. Reconnects with `Last-Event-ID` after each interruption. */
export function followEvents(options: EventStreamOptions): { close(): void } {
  const closing = new AbortController();
  let lastEventId: string | undefined;
  let retryMs = firstRetryMs;

  async function connect(): Promise<void> {
    const stalled = new AbortController();
    const resumed = lastEventId !== undefined;
    let connected = false;
    let watchdog = setTimeout(() => stalled.abort(), silenceMs);
    try {
      const response = await options.fetch(`${options.issuer}/oauth2/events`, {
        headers: {
          accept: 'text/event-stream',
          authorization: basicAuthorization(options),
          ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
        },
        redirect: 'error',
        signal: AbortSignal.any([closing.signal, stalled.signal]),
      });
      if (!response.ok || !response.body) throw new Error(`events answered ${response.status}`);
      const parse = createEventParser(({ id, event, data }) => {
        // The server's first event has only an id: the position from which it reports.
        if (id !== undefined) lastEventId = id;
        const at = timeOf(lastEventId);
        if (!connected) options.onConnected(resumed, at);
        connected = true;
        retryMs = firstRetryMs;
        if (event !== '' || data !== '') options.onEvent({ event, data, at });
      });
      const decoder = new TextDecoder();
      for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
        clearTimeout(watchdog);
        watchdog = setTimeout(() => stalled.abort(), silenceMs);
        watchdog.unref();
        parse(decoder.decode(chunk, { stream: true }));
        if (connected) options.onHeard();
      }
    } finally {
      clearTimeout(watchdog);
      options.onDisconnected();
    }
  }

  async function follow(): Promise<void> {
    while (!closing.signal.aborted) {
      await connect().catch(() => undefined);
      if (closing.signal.aborted) return;
      await new Promise((resolve) => {
        // Random delay, so that not all listeners of a restarted server reconnect at the same moment.
        const timer = setTimeout(resolve, retryMs * (0.5 + Math.random()));
        timer.unref();
        closing.signal.addEventListener('abort', resolve, { once: true });
      });
      retryMs = Math.min(retryMs * 2, maxRetryMs);
    }
  }

  void follow();
  return { close: () => closing.abort() };
}

/** Returns the time in an event's ID, which ends with the second in which the event was sent. */
function timeOf(id = ''): number {
  return Number(/-(\d+)$/.exec(id)?.[1] ?? Math.ceil(Date.now() / 1_000));
}

type Block = { id: string | undefined; event: string; data: string };

/**
 * Parses server-sent events (WHATWG HTML §9.2.6) from chunks, including those without data, which still set the last
 * event id.
 */
function createEventParser(onBlock: (block: Block) => void): (text: string) => void {
  let rest = '';
  let block: Block & { isEmpty: boolean } = emptyBlock();

  function readLine(line: string): void {
    if (line === '') {
      if (!block.isEmpty) onBlock({ ...block, data: block.data.replace(/\n$/, '') });
      block = emptyBlock();
      return;
    }
    const [, field = '', value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
    if (field !== '') block.isEmpty = false;
    if (field === 'event') block.event = value;
    else if (field === 'data') block.data += `${value}\n`;
    else if (field === 'id' && !value.includes('\0')) block.id = value;
  }

  return (text) => {
    const lines = (rest + text).split(/\r\n|\n|\r/);
    rest = lines.pop() ?? '';
    for (const line of lines) readLine(line);
  };
}

function emptyBlock() {
  return { id: undefined, event: '', data: '', isEmpty: true };
}

/** Returns the `Authorization` header of a client, whose ID and secret are form-encoded first (RFC 6749 §2.3.1). */
export function basicAuthorization({ clientId, clientSecret }: { clientId: string; clientSecret: string }): string {
  const credentials = `${encodeURIComponent(clientId)}:${encodeURIComponent(clientSecret)}`;
  return `Basic ${Buffer.from(credentials).toString('base64')}`;
}
