import type { Core } from '../core.ts';
import { logMembers } from '../observability/log.ts';

export type Access = {
  /** Also sent as X-Request-Id in the answer. */
  id: string;
  method: string;
  /** The path without query, because a query may contain secrets by mistake. */
  path: string;
  status: number;
  /** From performance.now(), in milliseconds. */
  startedAt: number;
  address: string;
  /** Undefined if no client was authenticated. */
  clientId: string | undefined;
  /** The error code of the answer. */
  reason?: string | undefined;
  /** For an introspection: whether the token was active. */
  active?: boolean | undefined;
};

/** Counts an answered request and writes its log line. */
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

/** Formats with three decimals. Built from integers, which is several times faster than toFixed. */
function decimal(value: number): string {
  const thousandths = Math.round(value * 1_000);
  return `${Math.floor(thousandths / 1_000)}.${String(thousandths % 1_000).padStart(3, '0')}`;
}
