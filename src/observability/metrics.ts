import { monitorEventLoopDelay } from 'node:perf_hooks';
import { AggregatorRegistry, Counter, Gauge, type MetricObjectWithValues, Registry } from 'prom-client';
import { StoreUnavailable } from '../errors.ts';
import { type ProxyProblem, proxyProblems } from '../http/proxy-alarm.ts';
import type { Database, Row } from '../storage/database.ts';
import { withDeadline } from '../storage/with-deadline.ts';
import type { TokenStore } from '../tokens/token-store.ts';
import { createDurations, type Durations } from './durations.ts';
import { createTally } from './tally.ts';

/** A request on the public listener that was answered. */
type Answered = {
  path: string;
  status: number;
  /** How long it took. */
  ms: number;
  /** The code of the error that was answered. */
  reason?: string | undefined;
  /** Of an introspection: whether the token was. */
  active?: boolean | undefined;
};

/** What is told to Prometheus. Each server has its own; no label ever holds who calls, or from where. */
export type Metrics = {
  answered(request: Answered): void;
  /** Of the admin listener. */
  adminAnswered(method: string, status: number): void;
  /** A revocation of a token that the token store does not know. */
  revokedUnknown(result: 'ignored' | 'kept' | 'refused'): void;
  /** A secret or an access key that is known, but not let in. @param reason `wrong_secret`, `retired_secret`, … */
  refused(reason: string): void;
  /** A header that only a proxy should send was ignored. */
  proxyProblem(problem: ProxyProblem): void;
  /** The same store, with its errors and how long it takes told. */
  watchTokenStore(store: TokenStore): TokenStore;
  watchDatabase(database: Database): Database;
  /** What is asked when somebody scrapes. */
  sources(sources: Sources): void;
  /** This process's, for the others of the deployment on the same port to be added up with. */
  collect(): Promise<CollectedMetrics>;
  close(): void;
};

export type CollectedMetrics = MetricObjectWithValues<never>[];

type Sources = {
  clientLookups: () => { memory: number; database: number };
  changesLagMs: () => number;
  revokedTokens: () => number;
  lostLogLines: () => number;
  changesState: () => string;
  clockDifferenceMs: () => number;
  countOverlaps: () => Promise<number>;
};

export const metricsContentType = Registry.PROMETHEUS_CONTENT_TYPE;

const routes = new Set([
  '/oauth2/token',
  '/oauth2/introspect',
  '/oauth2/revoke',
  '/oauth2/events',
  '/.well-known/oauth-authorization-server',
  '/.well-known/openid-configuration',
  '/.well-known/jwks.json',
  '/healthz',
  '/readyz',
]);
const methods = new Set(['GET', 'HEAD', 'POST', 'PATCH', 'DELETE']);
/** There are some twenty codes; should ever a text of a caller's become one, it ends here. */
const maxReasons = 60;
const requestBuckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2.5];
const storeBuckets = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1];
/** How old the number of running overlaps may be: counting them asks the database. */
const overlapsForMs = 15_000;
/** How often the event loop is looked at. */
const resolutionMs = 10;

/** On the path of a token, plain numbers are counted; they become metrics when somebody scrapes. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const named = (name: string, help: string) => ({ name: `keyturn_${name}`, help, registers });
  const boundedReason = createBound(maxReasons);

  const requests = createTally(['route', 'status', 'reason'], named('requests_total', 'Requests that were answered'));
  const tokens = createTally([], named('tokens_issued_total', 'Access tokens issued to clients'));
  const introspections = createTally(['result'], named('introspections_total', 'Introspections by what the token was'));
  const refusals = createTally(
    ['reason'],
    named('credentials_refused_total', 'Secrets and access keys of known owners that were not let in'),
  );
  const adminRequests = createTally(
    ['method', 'status'],
    named('admin_requests_total', 'Requests on the admin listener that were answered'),
  );
  const ignoredHeaders = createTally(
    ['problem'],
    named('proxy_headers_ignored_total', 'Forwarded addresses and client certificates in headers that were ignored'),
  );
  for (const problem of proxyProblems) ignoredHeaders.add(0, problem);
  const storeErrors = createTally(
    ['store'],
    named('store_errors_total', 'Statements and commands that a store failed'),
  );
  const unknownRevocations = createTally(
    ['result'],
    named('unknown_token_revocations_total', 'Revocations of tokens that the token store did not know'),
  );
  for (const result of ['ignored', 'kept', 'refused']) unknownRevocations.add(0, result);
  for (const store of ['database', 'redis']) storeErrors.add(0, store);
  tokens.add(0);
  for (const result of ['active', 'inactive']) introspections.add(0, result);
  refusals.add(0, 'retired_secret');

  const durations = (name: string, help: string, buckets: number[]) => ({
    name: `keyturn_${name}`,
    help,
    registry,
    buckets,
  });
  const [tokenDurations] = createDurations(
    durations(
      'token_request_duration_seconds',
      'How long requests for a token took, whatever became of them',
      requestBuckets,
    ),
    [{}],
  );
  const [introspectionDurations] = createDurations(
    durations(
      'introspection_request_duration_seconds',
      'How long introspections took, whatever became of them',
      requestBuckets,
    ),
    [{}],
  );
  const [saveDurations, findDurations] = createDurations(
    durations('token_store_duration_seconds', 'How long the token store took', storeBuckets),
    [{ operation: 'save' }, { operation: 'find' }],
  );
  const issued = tokens.cell();
  const live = introspections.cell('active');
  const notLive = introspections.cell('inactive');
  const answeredWell = new Map([...routes].map((route) => [route, requests.cell(route, '2xx', 'none')]));

  const loop = monitorEventLoopDelay({ resolution: resolutionMs });
  loop.enable();
  addProcessGauges(registers, loop);
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
    ...named('database_waiting', 'Statements that wait for a free connection'),
    collect() {
      this.set(database?.connections?.().waiting ?? 0);
    },
  });
  new Counter({
    ...named('client_lookups_total', 'Look-ups of clients, by whether they were known in memory'),
    labelNames: ['from'],
    collect() {
      this.reset();
      const { memory, database: loaded } = sources?.clientLookups() ?? { memory: 0, database: 0 };
      this.inc({ from: 'memory' }, memory);
      this.inc({ from: 'database' }, loaded);
    },
  });
  new Gauge({
    ...named('changes_lag_seconds', 'Since when this process may not know of what other processes change'),
    aggregator: 'max',
    collect() {
      this.set(Math.min((sources?.changesLagMs() ?? 0) / 1_000, 86_400));
    },
  });
  new Gauge({
    ...named('clock_difference_seconds', "How far this process's clock is ahead of the database's"),
    aggregator: 'max',
    collect() {
      this.set((sources?.clockDifferenceMs() ?? 0) / 1_000);
    },
  });
  new Gauge({
    ...named('revoked_tokens', 'Revoked tokens that have not expired, as this process knows them'),
    aggregator: 'max',
    collect() {
      this.set(sources?.revokedTokens() ?? 0);
    },
  });
  new Gauge({
    ...named('changes_state', 'How this process knows of changes: current, announced, stale or unknown'),
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
  const overlaps = createRemembered(overlapsForMs, async () => {
    return sources ? await withDeadline(sources.countOverlaps(), 'database', 1_000) : 0;
  });
  new Gauge({
    ...named('overlaps_running', 'Regenerations whose old secret is still good, over the whole deployment'),
    aggregator: 'max',
    async collect() {
      // A scrape tells all else also while the database is away.
      const count = await overlaps().catch(() => undefined);
      if (count !== undefined) this.set(count);
    },
  });

  return {
    answered({ path, status, reason, active, ms }) {
      const well = status === 200 ? answeredWell.get(path) : undefined;
      if (well) well.count += 1;
      else requests.add(1, routes.has(path) ? path : 'other', statusClass(status), boundedReason(reason ?? 'none'));
      if (path === '/oauth2/token') {
        tokenDurations.observe(ms);
        if (status === 200) issued.count += 1;
      } else if (path === '/oauth2/introspect') {
        introspectionDurations.observe(ms);
        if (active !== undefined) (active ? live : notLive).count += 1;
      }
    },
    adminAnswered(method, status) {
      adminRequests.add(1, methods.has(method) ? method : 'other', statusClass(status));
    },
    revokedUnknown(result) {
      unknownRevocations.add(1, result);
    },
    refused(reason) {
      refusals.add(1, boundedReason(reason));
    },
    proxyProblem(problem) {
      ignoredHeaders.add(1, problem);
    },
    watchTokenStore(store) {
      // Beside the work, not around it: whoever waits for it waits for nothing more.
      function timing<T>(work: Promise<T>, seconds?: Durations): Promise<T> {
        const startedAt = performance.now();
        const end = () => seconds?.observe(performance.now() - startedAt);
        work.then(end, (error: unknown) => {
          end();
          // The database tells its own.
          if (store.name === 'redis' && error instanceof StoreUnavailable) storeErrors.add(1, 'redis');
        });
        return work;
      }
      return {
        name: store.name,
        save: (record, now, transaction) => timing(store.save(record, now, transaction), saveDurations),
        find: (jti) => timing(store.find(jti), findDurations),
        remove: (jti) => timing(store.remove(jti)),
        ping: () => timing(store.ping()),
      };
    },
    watchDatabase(watched) {
      database = watched;
      const count = (error: unknown) => {
        if (error instanceof StoreUnavailable) storeErrors.add(1, 'database');
        throw error;
      };
      return {
        ...watched,
        query: <R extends Row>(sql: string, parameters?: readonly unknown[]) =>
          watched.query<R>(sql, parameters).catch(count),
        transaction: (work) => watched.transaction(work).catch(count),
      };
    },
    sources(given) {
      sources = given;
    },
    collect: async () => (await registry.getMetricsAsJSON()) as unknown as CollectedMetrics,
    close: () => {
      loop.disable();
    },
  };
}

/** The metrics of all processes of one port, added up. */
export async function addUpMetrics(collected: readonly CollectedMetrics[]): Promise<CollectedMetrics> {
  return (await AggregatorRegistry.aggregate([...collected]).getMetricsAsJSON()) as unknown as CollectedMetrics;
}

/** The same, in Prometheus' text format. */
export async function presentMetrics(collected: readonly CollectedMetrics[]): Promise<string> {
  return await AggregatorRegistry.aggregate([...collected]).metrics();
}

function statusClass(status: number): string {
  return `${Math.floor(status / 100)}xx`;
}

/** A text as a label's value, as long as there are not too many different ones. */
function createBound(max: number): (text: string) => string {
  const known = new Set<string>();
  return (text) => {
    if (known.has(text)) return text;
    if (known.size >= max) return 'other';
    known.add(text);
    return text;
  };
}

/** What is asked for at most so often; many at once ask once. */
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

function addProcessGauges(registers: Registry[], loop: ReturnType<typeof monitorEventLoopDelay>): void {
  // What is measured is the time from one look to the next.
  const seconds = (nanoseconds: number) =>
    Number.isFinite(nanoseconds) ? Math.max(0, nanoseconds / 1e9 - resolutionMs / 1_000) : 0;
  new Gauge({
    name: 'keyturn_event_loop_delay_seconds',
    help: 'How late timers are since the last scrape; of several processes, the worst',
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
    help: 'Memory of all processes of the port',
    registers,
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
  new Counter({
    name: 'keyturn_cpu_seconds_total',
    help: 'Processor time of all processes of the port',
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6);
    },
  });
  new Gauge({
    name: 'keyturn_processes',
    help: 'Processes of the port that answered',
    registers,
    collect() {
      this.set(1);
    },
  });
}
