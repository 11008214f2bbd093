import type { Queryable, Row, Transaction } from '../storage/database.ts';
import { textProblem } from '../text/read-text.ts';

/**
 * A request that was rejected, or an introspection of a token that is not active, with the rule that decided. It
 * contains nothing that the caller sent except the request ID, and the scope or resource that was refused.
 */
export type RejectedRequest = {
  /** The `X-Request-Id` of the answer and of the line in the access log. */
  id: string;
  at: Date;
  path: string;
  status: number;
  /** The error code of the answer; null for an introspection. */
  code: string | null;
  /** The name of the rule, such as `retired_secret`, and after a space the scope or resource that it refused. */
  reason: string;
  /** The id of the client that sent the request; null if it is unknown. */
  client: string | null;
  /** The id of the client or access key whose state decided; null if none did. */
  decidedBy: string | null;
  /** The generation of the secret that was presented; null if none matched. */
  generation: number | null;
};

/** Maximum numbers between two writes, so that a client that is always rejected takes a bounded amount of storage. */
const maxOfClient = 20;
const maxInAll = 500;
/** Maximum number of stored requests; the oldest are deleted first. */
const maxKept = 50_000;
const keepMs = 24 * 3_600_000;

const maxValueLength = 200;

/**
 * Returns the reason of a refused scope or resource. A value that is unprintable, long or like a credential, which a
 * program may have sent in the wrong parameter, is omitted.
 */
export function encodeRule({ rule, value }: { rule: string; value: string }): string {
  const isShown = textProblem(value, maxValueLength) === undefined && !/kt[akso]_/i.test(value);
  return isShown ? `${rule} ${value}` : rule;
}

/** Returns the rule of a reason, and the scope or resource that it refused; undefined if the reason has none. */
export function decodeRule(reason: string): { rule: string; value: string | undefined } {
  const end = reason.indexOf(' ');
  return end === -1 ? { rule: reason, value: undefined } : { rule: reason.slice(0, end), value: reason.slice(end + 1) };
}

/** Collects rejected requests in memory, for at most `maxInAll` of them and `maxOfClient` of one client. */
export function createRejectedRequests() {
  let rejected: RejectedRequest[] = [];
  const ofClient = new Map<string | null, number>();
  return {
    add(request: RejectedRequest): void {
      const count = ofClient.get(request.client) ?? 0;
      if (count >= maxOfClient || rejected.length >= maxInAll) return;
      ofClient.set(request.client, count + 1);
      rejected.push(request);
    },
    /** Returns and clears what was collected. */
    take(): RejectedRequest[] {
      const taken = rejected;
      rejected = [];
      ofClient.clear();
      return taken;
    },
  };
}

/** Stores rejected requests for a day, and deletes all but the latest `maxKept`. */
export async function saveRejectedRequests(
  transaction: Transaction,
  requests: readonly RejectedRequest[],
): Promise<void> {
  if (requests.length === 0) return;
  const rows = requests.map(({ decidedBy, ...request }) => ({
    ...request,
    decided_by: decidedBy,
    expires_at: new Date(request.at.getTime() + keepMs),
  }));
  await transaction.query(
    `INSERT INTO rejected_requests (id, at, path, status, code, reason, client, decided_by, generation, expires_at)
     SELECT id, at, path, status, code, reason, client, decided_by, generation, expires_at
     FROM jsonb_to_recordset($1::jsonb) AS r (id text, at timestamptz, path text, status smallint, code text, reason text,
       client uuid, decided_by uuid, generation integer, expires_at timestamptz)`,
    [JSON.stringify(rows)],
  );
  await transaction.query('DELETE FROM rejected_requests WHERE seq <= (SELECT max(seq) FROM rejected_requests) - $1', [
    maxKept,
  ]);
}

/** Finds a rejected request by its request ID; the latest if a proxy used the ID more than once. */
export async function findRejectedRequest(
  database: Queryable,
  id: string,
  now: Date,
): Promise<RejectedRequest | undefined> {
  return (await selectRejected(database, 'id = $1', [id, 1, now]))[0];
}

/** Lists the latest rejected requests of a client, latest first. @param client the client's id. */
export async function listRejectedRequests(
  database: Queryable,
  client: string,
  limit: number,
  now: Date,
): Promise<RejectedRequest[]> {
  return await selectRejected(database, 'client = $1', [client, limit, now]);
}

async function selectRejected(
  database: Queryable,
  condition: string,
  parameters: readonly unknown[],
): Promise<RejectedRequest[]> {
  const rows = await database.query<Row & Omit<RejectedRequest, 'decidedBy'> & { decided_by: string | null }>(
    `SELECT id, at, path, status, code, reason, client, decided_by, generation FROM rejected_requests
     WHERE ${condition} AND expires_at > $3 ORDER BY seq DESC LIMIT $2`,
    parameters,
  );
  return rows.map(({ decided_by: decidedBy, ...request }) => ({ ...request, decidedBy }));
}
