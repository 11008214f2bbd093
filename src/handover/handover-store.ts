import type { OwnerRef } from '../secrets/secret-store.ts';
import type { Queryable, Row, Transaction } from '../storage/database.ts';

/** A link that generates a new secret of its owner when it is opened, and shows it once. */
export type Handover = {
  id: string;
  owner: OwnerRef;
  /** The secret that the new one replaces. */
  secretId: string;
  /** The contact that may open it without a code when signed in to the portal. */
  contactId: string | null;
  email: string;
  /** HMAC of the code that has to be entered; null if the hand-over has ended, or no code was sent yet. */
  code: Buffer | null;
  /** Whether an operator passes the code on, or the receiver requests it by e-mail. */
  codeFrom: 'operator' | 'mail';
  /** The code in the mail, sealed; null if none was sent, or the hand-over has ended. */
  sealedCode: string | null;
  codeSentAt: Date | null;
  codesSent: number;
  /** The language of the page on which the code was requested. */
  codeLanguage: string | null;
  wrongCodes: number;
  overlapSeconds: number;
  /** Whether the grace period begins when the link is opened or when it was created. */
  starts: 'opened' | 'created';
  finishWhenUnused: boolean;
  createdAt: Date;
  createdBy: string;
  expiresAt: Date;
  /** How it has ended before it expired; null: it has not. */
  ended: { at: Date; as: HandoverEnd; by: string } | null;
  /** The rotation that began when it was opened, and from where that was; null: it was not opened. */
  opened: { regenerationId: string; address: string; userAgent: string } | null;
};

type HandoverEnd = 'opened' | 'withdrawn' | 'replaced' | 'too_many_codes';

/** `open`: the link can be opened. `expired`: it was not opened in time. Otherwise, how it has ended. */
export const handoverStates = ['open', 'expired', 'opened', 'withdrawn', 'replaced', 'too_many_codes'] as const;

export function stateOfHandover({ ended, expiresAt }: Handover, now: number): (typeof handoverStates)[number] {
  if (ended) return ended.as;
  return now < expiresAt.getTime() ? 'open' : 'expired';
}

type HandoverRow = Row & {
  id: string;
  client: string | null;
  access_key: string | null;
  secret: string;
  contact: string | null;
  email: string;
  code: Uint8Array | null;
  code_from: Handover['codeFrom'];
  sealed_code: string | null;
  code_sent_at: Date | null;
  codes_sent: number;
  code_language: string | null;
  wrong_codes: number;
  overlap_seconds: number;
  starts: Handover['starts'];
  finish_when_unused: boolean;
  created_at: Date;
  created_by: string;
  expires_at: Date;
  ended_at: Date | null;
  ended_as: HandoverEnd | null;
  ended_by: string | null;
  regeneration: string | null;
  address: string | null;
  user_agent: string | null;
};

/** Finds the hand-over of an owner that can be opened, or else the latest one. */
export async function findLatestHandover(database: Queryable, owner: OwnerRef): Promise<Handover | undefined> {
  const [row] = await database.query<HandoverRow>(
    `SELECT * FROM handovers WHERE ${owner.kind} = $1 ORDER BY ended_as IS NULL DESC, created_at DESC, id DESC LIMIT 1`,
    [owner.id],
  );
  return row && toHandover(row);
}

/** Finds a hand-over by the SHA-256 of the value in its link, with the name and the organization of its owner. */
export async function findHandoverByLink(database: Queryable, link: Uint8Array): Promise<NamedHandover | undefined> {
  return await findNamed(database, 'h.link = $1', link);
}

/** A hand-over with the name and the organization of its owner. */
export type NamedHandover = Handover & { ownerName: string; organizationId: string };

async function findNamed(
  database: Queryable,
  condition: string,
  parameter: string | Uint8Array,
): Promise<NamedHandover | undefined> {
  const [row] = await database.query<HandoverRow & { owner_name: string; organization: string }>(
    `SELECT h.*, coalesce(c.name, k.name) AS owner_name, coalesce(c.organization, p.organization) AS organization FROM handovers h
     LEFT JOIN clients c ON c.id = h.client LEFT JOIN access_keys k ON k.id = h.access_key LEFT JOIN contacts p ON p.id = k.contact WHERE ${condition}`,
    [parameter],
  );
  return row && { ...toHandover(row), ownerName: row.owner_name, organizationId: row.organization };
}

/** Finds and locks a hand-over. Its owner must be locked before. */
export async function lockHandover(transaction: Transaction, id: string): Promise<Handover | undefined> {
  const [row] = await transaction.query<HandoverRow>('SELECT * FROM handovers WHERE id = $1 FOR UPDATE', [id]);
  return row && toHandover(row);
}

export async function insertHandover(
  transaction: Transaction,
  {
    owner,
    ...handover
  }: Omit<Handover, 'wrongCodes' | 'sealedCode' | 'codeSentAt' | 'codesSent' | 'codeLanguage' | 'ended' | 'opened'> & {
    link: Uint8Array;
  },
): Promise<void> {
  await transaction.query(
    `INSERT INTO handovers (id, ${owner.kind}, secret, link, contact, email, code, code_from, overlap_seconds, starts,
       finish_when_unused, created_at, created_by, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
    [
      handover.id,
      owner.id,
      handover.secretId,
      handover.link,
      handover.contactId,
      handover.email,
      handover.code,
      handover.codeFrom,
      handover.overlapSeconds,
      handover.starts,
      handover.finishWhenUnused,
      handover.createdAt,
      handover.createdBy,
      handover.expiresAt,
    ],
  );
}

export async function saveWrongCodes(
  transaction: Transaction,
  { id, wrongCodes }: Pick<Handover, 'id' | 'wrongCodes'>,
): Promise<void> {
  await transaction.query('UPDATE handovers SET wrong_codes = $2 WHERE id = $1', [id, wrongCodes]);
}

/** Replaces the code of a hand-over by one that is sent by e-mail. */
export async function saveMailedCode(
  transaction: Transaction,
  {
    id,
    code,
    sealedCode,
    codeSentAt,
    codeLanguage,
  }: Pick<Handover, 'id' | 'code' | 'sealedCode' | 'codeSentAt' | 'codeLanguage'>,
): Promise<void> {
  await transaction.query(
    `UPDATE handovers SET code = $2, sealed_code = $3, code_sent_at = $4, code_language = $5, codes_sent = codes_sent + 1
     WHERE id = $1`,
    [id, code, sealedCode, codeSentAt, codeLanguage],
  );
}

/** Finds a hand-over by its id, with the name and the organization of its owner. */
export async function findHandover(database: Queryable, id: string): Promise<NamedHandover | undefined> {
  return await findNamed(database, 'h.id = $1', id);
}

/** Ends a hand-over permanently. @param opened given if it ends because it was opened. */
export async function saveHandoverEnd(
  transaction: Transaction,
  id: string,
  ended: NonNullable<Handover['ended']>,
  opened?: NonNullable<Handover['opened']>,
): Promise<void> {
  await transaction.query(
    `UPDATE handovers SET ended_at = $2, ended_as = $3, ended_by = $4, code = NULL, sealed_code = NULL, regeneration = $5, address = $6,
       user_agent = $7 WHERE id = $1`,
    [
      id,
      ended.at,
      ended.as,
      ended.by,
      opened?.regenerationId ?? null,
      opened?.address ?? null,
      opened?.userAgent ?? null,
    ],
  );
}

/** Returns the hand-overs that began these rotations, by the id of the rotation. */
export async function findHandoversOf(
  database: Queryable,
  regenerationIds: readonly string[],
): Promise<ReadonlyMap<string, Handover>> {
  const rows = await database.query<HandoverRow>('SELECT * FROM handovers WHERE regeneration = ANY ($1::uuid[])', [
    regenerationIds,
  ]);
  return new Map(rows.map((row) => [row.regeneration as string, toHandover(row)]));
}

function toHandover(row: HandoverRow): Handover {
  return {
    id: row.id,
    owner: row.client ? { kind: 'client', id: row.client } : { kind: 'access_key', id: row.access_key as string },
    secretId: row.secret,
    contactId: row.contact,
    email: row.email,
    code: row.code && Buffer.from(row.code),
    codeFrom: row.code_from,
    sealedCode: row.sealed_code,
    codeSentAt: row.code_sent_at,
    codesSent: row.codes_sent,
    codeLanguage: row.code_language,
    wrongCodes: row.wrong_codes,
    overlapSeconds: row.overlap_seconds,
    starts: row.starts,
    finishWhenUnused: row.finish_when_unused,
    createdAt: row.created_at,
    createdBy: row.created_by,
    expiresAt: row.expires_at,
    ended: row.ended_at && row.ended_as ? { at: row.ended_at, as: row.ended_as, by: row.ended_by ?? '' } : null,
    opened:
      row.regeneration === null
        ? null
        : { regenerationId: row.regeneration, address: row.address ?? '', userAgent: row.user_agent ?? '' },
  };
}
