import type { CommitChange } from '../audit/audit-log.ts';
import type { Log } from '../observability/log.ts';
import type { Clock } from '../process/clock.ts';
import type { Database } from '../storage/database.ts';
import { repeatWork } from '../storage/repeat-work.ts';
import { expireApprovals } from './manage-approvals.ts';

const everyMs = 60_000;

/** Records every minute which requests for approval have expired. Returns a function that stops this. */
export function startApprovalExpiry(deps: {
  database: Database;
  clock: Clock;
  change: CommitChange;
  log: Log;
}): () => Promise<void> {
  return repeatWork(() => expireApprovals(deps), everyMs, deps.log, 'failed to record expired requests');
}
