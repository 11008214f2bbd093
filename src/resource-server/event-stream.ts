/** One event of `GET /oauth2/events`. */
export type ServerEvent = { id: string | undefined; event: string; data: string };

export type EventStreamOptions = {
  issuer: string;
  clientId: string;
  clientSecret: string;
  fetch: typeof globalThis.fetch;
  onEvent: (event: ServerEvent) => void;
  /** Told when events begin to arrive, and when they stop. */
  onConnection: (connected: boolean) => void;
};

/** Silence for longer than this means a dead connection: the server sends a heartbeat more often. */
const silenceMs = 30_000;
const firstRetryMs = 250;
const maxRetryMs = 10_000;

/** Follows the server's events until closed, and comes back with `Last-Event-ID` after every interruption. */
export function followEvents(options: EventStreamOptions): { close(): void } {
  const closing = new AbortController();
  let lastEventId: string | undefined;
  let retryMs = firstRetryMs;

  async function connect(): Promise<void> {
    const stalled = new AbortController();
    let watchdog = setTimeout(() => stalled.abort(), silenceMs);
    const credentials = `${encodeURIComponent(options.clientId)}:${encodeURIComponent(options.clientSecret)}`;
    try {
      const response = await options.fetch(`${options.issuer}/oauth2/events`, {
        headers: {
          accept: 'text/event-stream',
          authorization: `Basic ${Buffer.from(credentials).toString('base64')}`,
          ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
        },
        redirect: 'error',
        signal: AbortSignal.any([closing.signal, stalled.signal]),
      });
      if (!response.ok || !response.body) throw new Error(`events answered ${response.status}`);
      options.onConnection(true);
      retryMs = firstRetryMs;
      const parse = createEventParser((event) => {
        if (event.id !== undefined) lastEventId = event.id;
        options.onEvent(event);
      });
      const decoder = new TextDecoder();
      for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
        clearTimeout(watchdog);
        watchdog = setTimeout(() => stalled.abort(), silenceMs);
        watchdog.unref();
        parse(decoder.decode(chunk, { stream: true }));
      }
    } finally {
      clearTimeout(watchdog);
      options.onConnection(false);
    }
  }

  async function follow(): Promise<void> {
    while (!closing.signal.aborted) {
      await connect().catch(() => undefined);
      if (closing.signal.aborted) return;
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, retryMs);
        timer.unref();
        closing.signal.addEventListener('abort', resolve, { once: true });
      });
      retryMs = Math.min(retryMs * 2, maxRetryMs);
    }
  }

  void follow();
  return { close: () => closing.abort() };
}

/** Server-sent events (WHATWG HTML §9.2.6), fed piece by piece. */
function createEventParser(onEvent: (event: ServerEvent) => void): (text: string) => void {
  let rest = '';
  let id: string | undefined;
  let event = '';
  let data: string[] = [];

  function readLine(line: string): void {
    if (line === '') {
      if (data.length > 0 || event !== '') onEvent({ id, event: event || 'message', data: data.join('\n') });
      event = '';
      data = [];
      return;
    }
    const [, field = '', value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
    if (field === 'event') event = value;
    else if (field === 'data') data.push(value);
    else if (field === 'id' && !value.includes('\0')) id = value;
  }

  return (text) => {
    const lines = (rest + text).split(/\r\n|\n|\r/);
    rest = lines.pop() ?? '';
    for (const line of lines) readLine(line);
  };
}
