import { Gauge, Registry } from 'prom-client';
import { StoreUnavailable } from '../errors.ts';
import { type ProxyProblem, proxyProblemMessages } from '../http/trusted-proxies.ts';
import { aggregate, type CollectedMetrics, collectFrom } from '../internals/prom-client.ts';
import type { Database, Row } from '../storage/database.ts';
import type { TokenStore } from '../tokens/token-store.ts';
import { createProcessMetrics, createSourceMetrics, type Sources } from './source-metrics.ts';
import { createDurations, createTally, type Durations } from './tally.ts';

/** All problems, so that metrics report a zero for each before it first occurs. */
const proxyProblems = Object.keys(proxyProblemMessages) as ProxyProblem[];

/** An answered request on the public listener. */
type Answered = {
  path: string;
  status: number;
  /** Duration in milliseconds. */
  ms: number;
  /** The error code of the answer. */
  reason?: string | undefined;
  /** For an introspection: whether the token was active. */
  active?: boolean | undefined;
};

/**
 * The result of asking an identity provider about a person. `not_asked`: the provider was disabled or changed.
 */
export type ProviderCheckOutcome = 'kept' | 'ended' | 'unanswered' | 'not_asked';

/** Prometheus metrics of one server. Labels never contain Client IDs or addresses. */
export type Metrics = {
  answered(request: Answered): void;
  /** Counts an answered request on the admin listener. */
  adminAnswered(method: string, status: number): void;
  /** Counts a request with a break-glass operator token. */
  brokeGlass(): void;
  /** Counts a check of a person at an identity provider. */
  checkedPerson(outcome: ProviderCheckOutcome): void;
  /** Counts an answered request on the portal listener. */
  portalAnswered(method: string, status: number): void;
  /** Counts a revocation of a token that the token store does not know. */
  revokedUnknown(result: 'ignored' | 'kept' | 'refused'): void;
  /** Sets the number of open event streams. */
  eventStreams(open: number): void;
  /** Counts a refused secret or access key of a known owner. @param reason `wrong_secret`, `retired_secret`, … */
  refused(reason: string): void;
  /** Counts a verification of a secret against an imported hash, or one that was refused because too many wait. */
  verifiedHash(result: 'matched' | 'not_matched' | 'queue_full'): void;
  /** Counts an ignored header that only a proxy should send. */
  proxyProblem(problem: ProxyProblem): void;
  /** Returns the store with its errors counted and its duration measured. */
  watchTokenStore(store: TokenStore): TokenStore;
  watchDatabase(database: Database): Database;
  /** Sets where the values that other modules keep are read. */
  sources(sources: Sources): void;
  /** Returns this process's metrics, to be added to those of the other workers. */
  collect(): Promise<CollectedMetrics>;
  close(): void;
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
/** Limits the label's values. There are about twenty error codes; this guards against a caller's text among them. */
const maxReasons = 60;
const requestBuckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2.5];
const storeBuckets = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1];

/** Creates the metrics. Plain numbers are counted on the path of a token and converted to metrics at a scrape. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const named = (name: string, help: string) => ({ name: `keyturn_${name}`, help, registers });
  const boundedReason = createBound(maxReasons);

  const requests = createTally(
    ['route', 'status', 'reason'],
    named('requests_total', 'Responses to requests on the public listener'),
  );
  const tokens = createTally([], named('tokens_issued_total', 'Access tokens issued to clients'));
  const introspections = createTally(['result'], named('introspections_total', 'Introspections by result'));
  const refusals = createTally(
    ['reason'],
    named('credentials_refused_total', 'Rejected secrets and access keys whose owner is known'),
  );
  const adminRequests = createTally(
    ['method', 'status'],
    named('admin_requests_total', 'Responses to requests on the admin listener'),
  );
  const breakGlassUses = createTally([], named('break_glass_uses_total', 'Requests with a break-glass operator token'));
  const personChecks = createTally(
    ['result'],
    named('identity_provider_checks_total', 'Checks whether identity providers still vouch for people'),
  );
  for (const outcome of ['kept', 'ended', 'unanswered', 'not_asked']) personChecks.add(0, outcome);
  const portalRequests = createTally(
    ['method', 'status'],
    named('portal_requests_total', 'Responses to requests on the portal listener'),
  );
  // Start with a series, so that the metric exists before the first request.
  portalRequests.add(0, 'GET', statusClass(200));
  const ignoredHeaders = createTally(
    ['problem'],
    named(
      'proxy_headers_ignored_total',
      'Forwarded addresses and client certificates in request headers that were ignored',
    ),
  );
  for (const problem of proxyProblems) ignoredHeaders.add(0, problem);
  const hashVerifications = createTally(
    ['result'],
    named('imported_hash_verifications_total', 'Verifications of secrets against the hashes of another server'),
  );
  for (const result of ['matched', 'not_matched', 'queue_full']) hashVerifications.add(0, result);
  const storeErrors = createTally(['store'], named('store_errors_total', 'Failed statements and commands of a store'));
  const unknownRevocations = createTally(
    ['result'],
    named('unknown_token_revocations_total', 'Revocations of tokens that are not in the token store'),
  );
  const eventStreams = new Gauge({
    name: 'keyturn_event_streams',
    help: 'Open streams of GET /oauth2/events',
    registers: [registry],
  });
  for (const result of ['ignored', 'kept', 'refused']) unknownRevocations.add(0, result);
  for (const store of ['database', 'redis']) storeErrors.add(0, store);
  tokens.add(0);
  for (const result of ['active', 'inactive']) introspections.add(0, result);
  for (const reason of ['retired_secret', 'key_left_set']) refusals.add(0, reason);

  const durations = (name: string, help: string, buckets: number[]) => ({
    name: `keyturn_${name}`,
    help,
    registry,
    buckets,
  });
  const [tokenDurations] = createDurations(
    durations('token_request_duration_seconds', 'Duration of token requests, including rejected ones', requestBuckets),
    [{}],
  );
  const [introspectionDurations] = createDurations(
    durations(
      'introspection_request_duration_seconds',
      'Duration of introspections, including rejected ones',
      requestBuckets,
    ),
    [{}],
  );
  const [saveDurations, findDurations] = createDurations(
    durations('token_store_duration_seconds', 'Duration of operations of the token store', storeBuckets),
    [{ operation: 'save' }, { operation: 'find' }],
  );
  const issued = tokens.cell();
  const live = introspections.cell('active');
  const notLive = introspections.cell('inactive');
  const answeredWell = new Map([...routes].map((route) => [route, requests.cell(route, '2xx', 'none')]));

  const processMetrics = createProcessMetrics(registers);
  const sourceMetrics = createSourceMetrics(registers);

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
    brokeGlass() {
      breakGlassUses.add(1);
    },
    checkedPerson(outcome) {
      personChecks.add(1, outcome);
    },
    adminAnswered(method, status) {
      adminRequests.add(1, methods.has(method) ? method : 'other', statusClass(status));
    },
    portalAnswered(method, status) {
      portalRequests.add(1, methods.has(method) ? method : 'other', statusClass(status));
    },
    revokedUnknown(result) {
      unknownRevocations.add(1, result);
    },
    eventStreams: (open) => eventStreams.set(open),
    refused(reason) {
      refusals.add(1, boundedReason(reason));
    },
    verifiedHash(result) {
      hashVerifications.add(1, result);
    },
    proxyProblem(problem) {
      ignoredHeaders.add(1, problem);
    },
    watchTokenStore(store) {
      // Measure beside the work, so that its caller does not wait for the measurement.
      function timing<T>(work: Promise<T>, seconds?: Durations): Promise<T> {
        const startedAt = performance.now();
        const end = () => seconds?.observe(performance.now() - startedAt);
        work.then(end, (error: unknown) => {
          end();
          // The database counts its own errors.
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
      sourceMetrics.watchConnections(watched);
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
    sources: sourceMetrics.follow,
    collect: () => collectFrom(registry),
    close: processMetrics.close,
  };
}

/** Adds up the metrics of all processes on one port. */
export async function addUpMetrics(collected: readonly CollectedMetrics[]): Promise<CollectedMetrics> {
  return await collectFrom(aggregate(collected));
}

/** Formats metrics in Prometheus' text format. */
export async function presentMetrics(collected: readonly CollectedMetrics[]): Promise<string> {
  return await aggregate(collected).metrics();
}

function statusClass(status: number): string {
  return `${Math.floor(status / 100)}xx`;
}

/** Returns a text as a label's value as long as there are not too many different ones. */
function createBound(max: number): (text: string) => string {
  const known = new Set<string>();
  return (text) => {
    if (known.has(text)) return text;
    if (known.size >= max) return 'other';
    known.add(text);
    return text;
  };
}
