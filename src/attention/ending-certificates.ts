import { X509Certificate } from 'node:crypto';
import type { Queryable, Row } from '../storage/database.ts';
import { expiringMs } from './attention-item.ts';

/** Maximum number of clients whose certificates are examined, the newest first. */
const maxExamined = 1_000;
const maxCached = 5_000;

/** Caches the ends of certificates by their text, because parsing one takes tens of microseconds. */
const ends = new Map<string, number | undefined>();

type CertificateRow = Row & { id: string; client_id: string; name: string; created_at: Date; certificates: string[] };

/**
 * Finds enabled clients all of whose registered certificates expire soon, or have expired, the first to expire first.
 * @param withinMs how soon.
 * @returns each with the end of its last certificate, in milliseconds.
 */
export async function findEndingCertificates(
  database: Queryable,
  now: number,
  withinMs = expiringMs,
): Promise<{ row: CertificateRow; end: number }[]> {
  return (await findEnds(database)).filter(({ end }) => end - now < withinMs).sort((a, b) => a.end - b.end);
}

/** Returns the last end of the certificates of each examined client. */
async function findEnds(database: Queryable): Promise<{ row: CertificateRow; end: number }[]> {
  const rows = await database.query<CertificateRow>(
    `SELECT id, client_id, name, created_at, ARRAY(
       SELECT key -> 'x5c' ->> 0 FROM jsonb_array_elements(jwks -> 'keys') key WHERE jsonb_typeof(key -> 'x5c') = 'array'
     ) AS certificates
     FROM (
       SELECT * FROM clients WHERE enabled AND auth_method = 'self_signed_tls_client_auth'
       ORDER BY created_at DESC LIMIT ${maxExamined}
     ) c`,
  );
  return rows.flatMap((row) => {
    const known = row.certificates.map(endOf).filter((end) => end !== undefined);
    return known.length > 0 ? [{ row, end: Math.max(...known) }] : [];
  });
}

function endOf(base64: string): number | undefined {
  if (ends.has(base64)) return ends.get(base64);
  if (ends.size >= maxCached) ends.clear();
  const end = parse(base64);
  ends.set(base64, end);
  return end;
}

function parse(base64: string): number | undefined {
  try {
    return Date.parse(new X509Certificate(Buffer.from(base64, 'base64')).validTo);
  } catch {
    return undefined;
  }
}
