import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, Gauge, type Registry } from 'prom-client';
import type { Database } from '../storage/database.ts';
import { withDeadline } from '../storage/with-deadline.ts';

/** Values that other modules keep, read at each scrape. */
export type Sources = {
  clientLookups: () => { memory: number; database: number };
  changesLagMs: () => number;
  revokedTokens: () => number;
  lostLogLines: () => number;
  changesState: () => string;
  clockDifferenceMs: () => number;
  auditStreamLags: () => Promise<readonly { name: string; events: number; since: Date | null }[]>;
  countOverlaps: () => Promise<number>;
  countAwaitingFirstUse: () => Promise<number>;
};

/** How old the numbers of running overlaps and of waiting clients may be. Counting them queries the database. */
const countedForMs = 15_000;

/** Registers the metrics whose values other modules keep. */
export function createSourceMetrics(registers: Registry[]): {
  follow(sources: Sources): void;
  watchConnections(database: Database): void;
} {
  const named = (name: string, help: string) => ({ name: `keyturn_${name}`, help, registers });
  let database: Database | undefined;
  let sources: Sources | undefined;
  new Gauge({
    ...named('database_connections', 'Connections of this process to the database'),
    labelNames: ['state'],
    collect() {
      const connections = database?.connections?.();
      if (!connections) return;
      this.set({ state: 'used' }, connections.total - connections.idle);
      this.set({ state: 'idle' }, connections.idle);
    },
  });
  new Gauge({
    ...named('database_waiting', 'Statements waiting for a free database connection'),
    collect() {
      this.set(database?.connections?.().waiting ?? 0);
    },
  });
  new Counter({
    ...named('client_lookups_total', 'Lookups of clients by cache result'),
    labelNames: ['from'],
    collect() {
      this.reset();
      const { memory, database: loaded } = sources?.clientLookups() ?? { memory: 0, database: 0 };
      this.inc({ from: 'memory' }, memory);
      this.inc({ from: 'database' }, loaded);
    },
  });
  new Gauge({
    ...named('changes_lag_seconds', 'Seconds since this process last knew every change of other processes'),
    aggregator: 'max',
    collect() {
      this.set(Math.min((sources?.changesLagMs() ?? 0) / 1_000, 86_400));
    },
  });
  new Gauge({
    ...named(
      'clock_difference_seconds',
      'Seconds by which the clock of this process is ahead of the clock of the database',
    ),
    aggregator: 'max',
    collect() {
      this.set((sources?.clockDifferenceMs() ?? 0) / 1_000);
    },
  });
  new Gauge({
    ...named('revoked_tokens', 'Revoked tokens that have not expired, in the memory of this process'),
    aggregator: 'max',
    collect() {
      this.set(sources?.revokedTokens() ?? 0);
    },
  });
  new Gauge({
    ...named('changes_state', 'How this process learns of changes: current, announced, stale, unknown or unchecked'),
    labelNames: ['state'],
    collect() {
      this.reset();
      if (sources) this.set({ state: sources.changesState() }, 1);
    },
  });
  new Counter({
    ...named('log_lines_lost_total', 'Log lines that were dropped because they could not be written'),
    collect() {
      this.reset();
      this.inc(sources?.lostLogLines() ?? 0);
    },
  });
  const counted = (name: string, help: string, ask: (from: Sources) => Promise<number>) => {
    const count = createRemembered(countedForMs, async () => {
      return sources ? await withDeadline(ask(sources), 'database', 1_000) : 0;
    });
    new Gauge({
      ...named(name, help),
      aggregator: 'max',
      async collect() {
        // The other metrics are served while the database cannot be reached.
        const value = await count().catch(() => undefined);
        if (value !== undefined) this.set(value);
      },
    });
  };
  counted('overlaps_running', 'Grace periods that are running, in the whole deployment', (from) =>
    from.countOverlaps(),
  );
  counted(
    'clients_awaiting_first_use',
    'Clients of which only the hash of a secret is known, in the whole deployment',
    (from) => from.countAwaitingFirstUse(),
  );

  const lags = createRemembered(countedForMs, async () =>
    sources ? await withDeadline(sources.auditStreamLags(), 'database', 1_000) : [],
  );
  const lagging = (name: string, help: string, read: (lag: { events: number; since: Date | null }) => number) =>
    new Gauge({
      ...named(name, help),
      labelNames: ['stream'],
      aggregator: 'max',
      async collect() {
        for (const lag of await lags().catch(() => [])) this.set({ stream: lag.name }, read(lag));
      },
    });
  lagging('audit_stream_lag_events', 'Audit events that a receiver has not accepted', ({ events }) => events);
  lagging('audit_stream_lag_seconds', 'Age of the oldest audit event that a receiver has not accepted', ({ since }) =>
    since === null ? 0 : Math.max(0, (Date.now() - since.getTime()) / 1_000),
  );

  return {
    follow: (given) => {
      sources = given;
    },
    watchConnections: (given) => {
      database = given;
    },
  };
}

/** Caches an async result for `forMs`. Concurrent callers share one request. */
function createRemembered<T>(forMs: number, ask: () => Promise<T>): () => Promise<T> {
  let known: { answer: Promise<T>; at: number } | undefined;
  return () => {
    if (!known || performance.now() - known.at > forMs) {
      const answer = ask();
      known = { answer, at: performance.now() };
      answer.catch(() => {
        if (known?.answer === answer) known = undefined;
      });
    }
    return known.answer;
  };
}

/** Sampling interval of the event loop delay. */
const resolutionMs = 10;

/** Registers the metrics of the process: event loop, memory and processor time. */
export function createProcessMetrics(registers: Registry[]): { close(): void } {
  const loop = monitorEventLoopDelay({ resolution: resolutionMs });
  loop.enable();
  // The histogram contains the time between two samples, so subtract the interval.
  const seconds = (nanoseconds: number) =>
    Number.isFinite(nanoseconds) ? Math.max(0, nanoseconds / 1e9 - resolutionMs / 1_000) : 0;
  new Gauge({
    name: 'keyturn_event_loop_delay_seconds',
    help: 'Event loop delay since the last scrape; the highest value of all processes',
    labelNames: ['quantile'],
    aggregator: 'max',
    registers,
    collect() {
      this.set({ quantile: '0.5' }, seconds(loop.percentile(50)));
      this.set({ quantile: '0.99' }, seconds(loop.percentile(99)));
      this.set({ quantile: '1' }, seconds(loop.max));
      loop.reset();
    },
  });
  new Gauge({
    name: 'keyturn_resident_memory_bytes',
    help: 'Resident memory of all processes that share the port',
    registers,
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
  new Counter({
    name: 'keyturn_cpu_seconds_total',
    help: 'CPU time of all processes that share the port',
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6);
    },
  });
  new Gauge({
    name: 'keyturn_processes',
    help: 'Processes that share the port and responded to the scrape',
    registers,
    collect() {
      this.set(1);
    },
  });
  return {
    close: () => {
      loop.disable();
    },
  };
}
