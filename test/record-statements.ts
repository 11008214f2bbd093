import { AsyncLocalStorage } from 'node:async_hooks';
import type { Tracing } from '../src/observability/tracing.ts';
import type { Queryable, Row } from '../src/storage/database.ts';

/** Statements of one request, in order, without their parameters. */
type Recorded = { statements: string[] };

/** Records the statements of requests. It takes the place of the tracing, which sees every request and statement. */
export function createStatementRecorder() {
  const current = new AsyncLocalStorage<Recorded>();
  const requests = new Map<string, Recorded>();
  const header = 'x-recorded-as';

  const watch = <Q extends Queryable>(queryable: Q): Q => ({
    ...queryable,
    query: <R extends Row>(sql: string, parameters?: readonly unknown[]) => {
      current.getStore()?.statements.push(sql.replace(/\s+/g, ' '));
      return queryable.query<R>(sql, parameters);
    },
  });
  const tracing: Tracing = {
    watchListener: (listener) => (request, response) => {
      const name = request.headers[header];
      if (typeof name !== 'string') return listener(request, response);
      const recorded: Recorded = { statements: [] };
      requests.set(name, recorded);
      current.run(recorded, () => listener(request, response));
    },
    bind: (work) => AsyncLocalStorage.bind(work),
    nameRoute: () => undefined,
    watchDatabase: (database) => ({
      ...watch(database),
      transaction: (work) => {
        current.getStore()?.statements.push('BEGIN');
        return database.transaction((transaction) => work(watch(transaction)));
      },
    }),
    watchTokenStore: (store) => store,
    traceId: () => undefined,
    close: async () => undefined,
  };
  let count = 0;
  return {
    tracing,
    /** Returns the header of a request to record, and a function that returns its statements. */
    next(): { headers: Record<string, string>; statements(): string[] } {
      const name = String(++count);
      return { headers: { [header]: name }, statements: () => requests.get(name)?.statements ?? [] };
    },
  };
}
