import type { RequestListener } from 'node:http';
import { type Attributes, context, propagation, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
import { plainAddress } from '../http/client-address.ts';
import type { Database, Queryable, Row } from '../storage/database.ts';
import type { TokenStore } from '../tokens/token-store.ts';

/**
 * Traces requests with OpenTelemetry. Spans contain names and codes, never a value of a request, a statement or a
 * command.
 */
export type Tracing = {
  /** Returns a listener that records each request as a span. */
  watchListener(listener: RequestListener): RequestListener;
  /** Returns a function that runs in the context of the current request, regardless of its caller. */
  bind<Given extends unknown[]>(work: (...given: Given) => void): (...given: Given) => void;
  /** Names the span of the current request. @param route one of a bounded set. */
  nameRoute(method: string, route: string): void;
  /** Returns a database that records each statement as a span of its request. */
  watchDatabase(database: Database): Database;
  /**
   * Returns a store that records each Redis command as a span. A store in the database is returned unchanged, because
   * the database records its statements.
   */
  watchTokenStore(store: TokenStore): TokenStore;
  /** Returns the trace id of the current request, or undefined outside a request. */
  traceId(): string | undefined;
  /** Sends the remaining spans. Never rejects. */
  close(): Promise<void>;
};

/**
 * Creates tracing over OTLP/HTTP. OpenTelemetry's own variables set the endpoint, headers, sampler, batches and
 * resource attributes. This file is loaded only if an endpoint is set.
 * @param isTrusted returns whether the `traceparent` header (W3C) of a peer is continued.
 */
export function createTracing(isTrusted: (address: string) => boolean): Tracing {
  const resource = resourceFromAttributes({ 'service.name': 'keyturn' }).merge(
    detectResources({ detectors: [envDetector] }),
  );
  const exporter = new OTLPTraceExporter();
  const provider = new NodeTracerProvider({ resource, spanProcessors: [new BatchSpanProcessor(exporter)] });
  provider.register();
  const tracer = trace.getTracer('keyturn');

  async function inSpan<T>(name: string, attributes: Attributes, work: () => Promise<T>): Promise<T> {
    // Background work, such as a sweep, belongs to no request.
    if (!trace.getActiveSpan()) return await work();
    return await tracer.startActiveSpan(name, { kind: SpanKind.CLIENT, attributes }, async (span) => {
      try {
        return await work();
      } catch (error) {
        fail(span, error);
        throw error;
      } finally {
        span.end();
      }
    });
  }

  function watchQueries<Q extends Queryable>(queryable: Q): Q {
    return {
      ...queryable,
      query: <R extends Row>(sql: string, parameters?: readonly unknown[]) => {
        const { operation, table } = summarize(sql);
        const name = table ? `${operation} ${table}` : operation;
        const attributes = { 'db.system.name': 'postgresql', 'db.operation.name': operation };
        return inSpan(name, table ? { ...attributes, 'db.collection.name': table } : attributes, () =>
          queryable.query<R>(sql, parameters),
        );
      },
    };
  }

  return {
    watchListener: (listener) => (request, response) => {
      const { headers, socket } = request;
      const isContinued = isTrusted(plainAddress(socket.remoteAddress ?? ''));
      const parent = isContinued ? propagation.extract(context.active(), headers) : context.active();
      const span = tracer.startSpan('HTTP', { kind: SpanKind.SERVER }, parent);
      response.once('close', () => {
        const { statusCode } = response;
        span.setAttribute('http.response.status_code', statusCode);
        if (statusCode >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
        span.end();
      });
      const under = trace.setSpan(parent, span);
      // The chunks of a body arrive outside the listener's call, so the request is bound to the span too.
      context.bind(under, request);
      context.with(under, () => listener(request, response));
    },
    bind: (work) => context.bind(context.active(), work),
    nameRoute: (method, route) => {
      const span = trace.getActiveSpan();
      span?.updateName(`${method} ${route}`).setAttributes({ 'http.request.method': method, 'http.route': route });
    },
    watchDatabase: (database) => ({
      ...watchQueries(database),
      transaction: (work) =>
        inSpan('transaction', { 'db.system.name': 'postgresql' }, () =>
          database.transaction((transaction) => work(watchQueries(transaction))),
        ),
    }),
    watchTokenStore: (store) => {
      if (store.name !== 'redis') return store;
      const command = <T>(name: string, work: () => Promise<T>) =>
        inSpan(name, { 'db.system.name': 'redis', 'db.operation.name': name }, work);
      return {
        name: store.name,
        save: (record, now, transaction) => command('SET', () => store.save(record, now, transaction)),
        find: (jti) => command('GET', () => store.find(jti)),
        remove: (jti) => command('DEL', () => store.remove(jti)),
        ping: () => command('PING', () => store.ping()),
      };
    },
    traceId: () => trace.getActiveSpan()?.spanContext().traceId,
    close: async () => {
      await provider.shutdown().catch(() => undefined);
    },
  };
}

/** Records the error's class, and not its text, which may contain presented credentials. */
function fail(span: Span, error: unknown): void {
  span.setAttribute('error.type', error instanceof Error ? error.name : 'Error');
  span.setStatus({ code: SpanStatusCode.ERROR });
}

function summarize(sql: string): { operation: string; table: string | undefined } {
  const operation = /\w+/.exec(sql)?.[0].toUpperCase() ?? 'SQL';
  const table = /\b(?:FROM|INTO|UPDATE)\s+([a-z_]\w*)/.exec(sql)?.[1];
  return { operation, table };
}
