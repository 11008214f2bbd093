import type { CommitChange } from '../audit/audit-log.ts';
import type { Log } from '../observability/log.ts';
import type { Clock } from '../process/clock.ts';
import type { Database } from '../storage/database.ts';
import { expireApprovals } from './manage-approvals.ts';

const everyMs = 60_000;

/** Records every minute which requests for approval have expired. Returns a function that stops this. */
export function startApprovalExpiry(deps: {
  database: Database;
  clock: Clock;
  change: CommitChange;
  log: Log;
}): () => Promise<void> {
  let running: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    running = running
      .then(() => expireApprovals(deps))
      .catch((error: Error) => deps.log.warn({ error: error.message }, 'failed to record expired requests'));
  }, everyMs).unref();
  return async () => {
    clearInterval(timer);
    await running;
  };
}
