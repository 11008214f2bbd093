import type { KeyRing } from '../credentials/key-ring.ts';
import { UsageError } from '../errors.ts';
import type { Queryable, Row } from '../storage/database.ts';
import { type ChainedEvent, isSameMac, macOfAnchor, macOfEvent } from './audit-chain.ts';

/** What is wrong with the log, by the first row that is. */
type AuditFinding = {
  seq: number;
  problem:
    | 'changed' // it is not what was written there: changed, put in, or moved
    | 'missing' // it was removed
    | 'cut_off' // it, and all after it, were removed from the end
    | 'beyond_end' // it was put in after the end
    | 'anchor_changed' // the record of the end itself is not what was written
    | 'unknown_key' // it was written under a root key that is not configured
    | 'not_the_head'; // it is not the row that a head kept elsewhere names
};

/** @property head what to keep elsewhere: an older copy of the whole database does not have it. */
export type AuditVerification = { events: number; head: string; finding: AuditFinding | null };

const pageSize = 1_000;

type EventRow = Row & ChainedEvent & { key_version: string; mac: Uint8Array };
type AnchorRow = Row & { seq: number; mac: Uint8Array; key_version: string; seal: Uint8Array; newest: number };

/**
 * Reads the whole log and checks every row, their order, and the end.
 * @param knownHead from an earlier verification: the log must still have that row.
 * @throws {UsageError} when it is not in the form of a head.
 */
export async function verifyAuditLog(
  database: Queryable,
  ring: KeyRing,
  knownHead?: string,
): Promise<AuditVerification> {
  const known = knownHead === undefined ? undefined : parseHead(knownHead);
  // In one statement, so that both are from the same moment.
  const [anchor] = await database.query<AnchorRow>(
    'SELECT a.*, (SELECT coalesce(max(seq), 0)::bigint FROM audit_events) AS newest FROM audit_anchor a',
  );
  const end = anchor?.seq ?? 0;
  let mac: Uint8Array = new Uint8Array(0);
  let seq = 0;
  const result = (finding: AuditFinding | null): AuditVerification => ({
    events: seq,
    head: `${seq}:${Buffer.from(mac).toString('hex')}`,
    finding,
  });
  while (seq < end) {
    const rows = await database.query<EventRow>(
      'SELECT * FROM audit_events WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3',
      [seq, end, pageSize],
    );
    if (rows.length === 0) return result({ seq: seq + 1, problem: 'cut_off' });
    for (const row of rows) {
      if (row.seq !== seq + 1) return result({ seq: seq + 1, problem: 'missing' });
      if (!ring.versions.includes(row.key_version)) return result({ seq: row.seq, problem: 'unknown_key' });
      if (!isSameMac(macOfEvent(ring, row.key_version, mac, row), row.mac)) {
        return result({ seq: row.seq, problem: 'changed' });
      }
      if (row.seq === known?.seq && !isSameMac(known.mac, row.mac))
        return result({ seq: row.seq, problem: 'not_the_head' });
      ({ seq, mac } = row);
    }
  }
  if (!anchor || !isIntact(ring, anchor, mac)) return result({ seq: seq + 1, problem: 'anchor_changed' });
  if (known && known.seq > end) return result({ seq: end + 1, problem: 'cut_off' });
  return result(anchor.newest > end ? { seq: end + 1, problem: 'beyond_end' } : null);
}

function parseHead(head: string): { seq: number; mac: Buffer } {
  const [, seq = '', mac = ''] = /^(\d{1,15}):([0-9a-f]{64}|)$/.exec(head) ?? [];
  if (!seq) throw new UsageError('A head is a number, a colon and 64 hexadecimal digits, as `audit verify` prints it.');
  return { seq: Number(seq), mac: Buffer.from(mac, 'hex') };
}

/** An empty log has nothing to seal its anchor with. */
function isIntact(ring: KeyRing, anchor: AnchorRow, lastMac: Uint8Array): boolean {
  if (anchor.seq === 0) return anchor.newest === 0;
  return isSameMac(anchor.mac, lastMac) && isSameMac(macOfAnchor(ring, anchor.key_version, anchor), anchor.seal);
}
