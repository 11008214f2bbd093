import { randomUUID } from 'node:crypto';
import type { Queryable, Row, Transaction } from '../storage/database.ts';
import type { Notice, NoticeKind, NoticeSubject } from './notice.ts';

/** A notice before it is stored. */
export type NewNotice = Omit<Notice, 'id'> & {
  /**
   * Names the thing and the moment of a notice that several processes, or one process repeatedly, would otherwise
   * tell. Undefined for a change, which happens once.
   */
  moment?: string;
};

type NoticeRow = Row & {
  id: string;
  seq: number;
  kind: NoticeKind;
  organization: string;
  thing: string;
  subject_type: NoticeSubject['type'];
  subject_id: string;
  subject_name: string;
  data: Notice['data'];
  at: Date;
};

const dayMs = 86_400_000;
/** Time for which a notice and its deliveries are listed. */
export const keptMs = 90 * dayMs;
/** Time after which a moment may have a notice again, if it still lasts. */
const momentMs = 400 * dayMs;

/** Stores notices in the transaction of what they are about, without those whose moment already has a notice. */
export async function insertNotices(transaction: Transaction, notices: readonly NewNotice[]): Promise<void> {
  const moments = notices.flatMap(({ moment, at }) => (moment === undefined ? [] : [{ moment, at }]));
  const fresh = new Set(await noteMoments(transaction, moments));
  const rows = notices
    .filter(({ moment }) => moment === undefined || fresh.delete(moment))
    .map(({ kind, organizationId, thing, subject, data, at }, place) => ({
      place,
      id: randomUUID(),
      kind,
      organization: organizationId,
      thing,
      subject_type: subject.type,
      subject_id: subject.id,
      subject_name: subject.name,
      data,
      at,
      expires_at: new Date(at.getTime() + keptMs),
    }));
  if (rows.length === 0) return;
  await transaction.query(
    `INSERT INTO notices (id, kind, organization, thing, subject_type, subject_id, subject_name, data, at, expires_at)
     SELECT id, kind, organization, thing, subject_type, subject_id, subject_name, data, at, expires_at
     FROM jsonb_to_recordset($1::jsonb) AS n (id uuid, kind text, organization uuid, thing text,
       subject_type text, subject_id text, subject_name text, data jsonb, at timestamptz, expires_at timestamptz, place bigint)
     ORDER BY place`,
    [JSON.stringify(rows)],
  );
}

/**
 * Records the moments of notices. Returns those that were not recorded before.
 * @param remainMs milliseconds after which a moment may have a notice again.
 */
export async function noteMoments(
  transaction: Transaction,
  moments: readonly { moment: string; at: Date }[],
  remainMs = momentMs,
): Promise<string[]> {
  if (moments.length === 0) return [];
  // Sorted, so that two processes that note the same moments never deadlock.
  const sorted = [...moments].sort((a, b) => (a.moment < b.moment ? -1 : 1));
  const rows = await transaction.query<{ moment: string }>(
    `INSERT INTO notice_moments (moment, expires_at)
     SELECT DISTINCT ON (moment) moment, expires_at FROM unnest($1::text[], $2::timestamptz[]) AS m (moment, expires_at) ORDER BY moment
     ON CONFLICT (moment) DO NOTHING RETURNING moment`,
    [sorted.map(({ moment }) => moment), sorted.map(({ at }) => new Date(at.getTime() + remainMs))],
  );
  return rows.map(({ moment }) => moment);
}

/** Returns which of these moments are recorded. */
export async function findRecordedMoments(
  database: Queryable,
  moments: readonly string[],
): Promise<ReadonlySet<string>> {
  if (moments.length === 0) return new Set();
  const rows = await database.query<{ moment: string }>(
    'SELECT moment FROM notice_moments WHERE moment = ANY ($1::text[])',
    [moments],
  );
  return new Set(rows.map(({ moment }) => moment));
}

/** Returns notices whose deliveries are not determined, the oldest first, and marks them as determined. */
export async function takeNew(transaction: Transaction, limit: number): Promise<Notice[]> {
  const rows = await transaction.query<NoticeRow>(
    `UPDATE notices SET addressed = true WHERE id IN (SELECT id FROM notices WHERE NOT addressed ORDER BY seq LIMIT $1)
     RETURNING *`,
    [limit],
  );
  return rows.sort((a, b) => a.seq - b.seq).map(toNotice);
}

/** Returns notices by their ids, in the order of the ids. */
export async function findNotices(database: Queryable, ids: readonly string[]): Promise<Notice[]> {
  const rows = await database.query<NoticeRow>('SELECT * FROM notices WHERE id = ANY ($1::uuid[])', [ids]);
  const byId = new Map(rows.map((row) => [row.id, toNotice(row)]));
  return ids.flatMap((id) => byId.get(id) ?? []);
}

export function toNotice(row: NoticeRow): Notice {
  return {
    id: row.id,
    kind: row.kind,
    at: row.at,
    organizationId: row.organization,
    thing: row.thing,
    subject: { type: row.subject_type, id: row.subject_id, name: row.subject_name },
    data: row.data,
  };
}
