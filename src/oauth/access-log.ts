import type { Core } from '../core.ts';

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
};

/** One line for each request that was answered. */
export function logAccess({ log }: Core, { id, method, path, status, startedAt, address, clientId }: Access): void {
  const ms = Math.round((performance.now() - startedAt) * 1_000) / 1_000;
  log.info({ id, method, path, status, ms, address, client_id: clientId }, 'request');
}
