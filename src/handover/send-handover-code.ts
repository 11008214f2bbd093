import { type Actor, appendAuditEvent } from '../audit/audit-log.ts';
import type { KeyRing } from '../credentials/key-ring.ts';
import { type SealedPlace, seal } from '../credentials/sealed-copy.ts';
import type { Clock } from '../process/clock.ts';
import type { OwnerRef, SecretOwner } from '../secrets/secret-store.ts';
import type { Transaction } from '../storage/database.ts';
import { generateCode, verifierOfCode } from './handover-code.ts';
import { saveMailedCode, stateOfHandover } from './handover-store.ts';
import { lockLink } from './open-handover.ts';

type Deps = {
  clock: Clock;
  keyRing: KeyRing;
  /** Locks the owner. Returns undefined if it was deleted. */
  lockOwner(transaction: Transaction, owner: OwnerRef): Promise<SecretOwner | undefined>;
};

/** Shortest time between two codes of one link. */
const pauseMs = 60_000;
/** Maximum number of codes of one link, so that a person with the link cannot fill a mailbox. */
const maxCodes = 10;

/** Returns where the code is sealed. It is valid for so short a time that no rotation of the root key seals it again. */
export const placeOfCode = (handoverId: string): SealedPlace => ({ table: 'handovers', id: handoverId });

/**
 * Generates a code for the receiver of a link, and requests the mail with it, by the audit event. An earlier code ends.
 * @param from.language language tag of the mail.
 * @returns `too_soon` within a minute after the last code, `too_many` after ten; `not_mailed` if the link has ended, or an
 *   operator passes its code on.
 */
export async function sendHandoverCode(
  transaction: Transaction,
  deps: Deps,
  link: string,
  { address, language }: { address: string; language: string },
): Promise<'sent' | 'too_soon' | 'too_many' | 'not_mailed'> {
  const now = deps.clock();
  const at = new Date(now);
  const { handover, owner } = (await lockLink(transaction, deps, link)) ?? {};
  if (!handover || !owner || handover.codeFrom !== 'mail' || stateOfHandover(handover, now) !== 'open') {
    return 'not_mailed';
  }
  if (handover.codeSentAt && now < handover.codeSentAt.getTime() + pauseMs) return 'too_soon';
  if (handover.codesSent >= maxCodes) return 'too_many';
  const code = generateCode();
  await saveMailedCode(transaction, {
    id: handover.id,
    code: verifierOfCode(link, code),
    sealedCode: seal(deps.keyRing, placeOfCode(handover.id), code),
    codeSentAt: at,
    codeLanguage: language,
  });
  const actor: Actor = { id: handover.contactId ?? handover.email, name: handover.email, address };
  await appendAuditEvent(transaction, {
    at,
    actor,
    action: `${owner.targetType}.send_handover_code`,
    targetType: owner.targetType,
    target: owner.target,
    after: { handover_id: handover.id, email: handover.email },
  });
  return 'sent';
}
