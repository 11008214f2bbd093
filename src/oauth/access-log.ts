import type { Core } from '../core.ts';
import { logMembers } from '../log.ts';

export type Access = {
  /** As the answer tells it in X-Request-Id. */
  id: string;
  method: string;
  /** The path alone: a query may hold what should not be in it. */
  path: string;
  status: number;
  /** By performance.now(). */
  startedAt: number;
  address: string;
  /** Undefined: nobody proved to be a client. */
  clientId: string | undefined;
  /** The code of the error that was answered. */
  reason?: string | undefined;
  /** Of an introspection: whether the token was. */
  active?: boolean | undefined;
};

/** One line for each request that was answered; and it is counted. */
export function logAccess({ config, log, metrics, tracing }: Core, access: Access): void {
  const { id, method, path, status, startedAt, address, clientId, reason, active } = access;
  const ms = performance.now() - startedAt;
  metrics.answered({ path, status, ms, reason, active });
  tracing?.nameRoute(method, path);
  if (!config.accessLog) return;
  const client = clientId === undefined ? '' : `,"client_id":${JSON.stringify(clientId)}`;
  const traceId = tracing?.traceId();
  const trace = traceId === undefined ? '' : `,"trace_id":"${traceId}"`;
  logMembers(
    log,
    `"id":"${id}","method":"${method}","path":"${path}","status":${status},"ms":${decimal(ms)},"address":${JSON.stringify(address)}${client}${trace}`,
    'request',
  );
}

/** With three decimals. Of whole numbers, for a text is made of those in a fraction of the time. */
function decimal(value: number): string {
  const thousandths = Math.round(value * 1_000);
  return `${Math.floor(thousandths / 1_000)}.${String(thousandths % 1_000).padStart(3, '0')}`;
}
