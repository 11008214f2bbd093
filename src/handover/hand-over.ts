import { randomUUID } from 'node:crypto';
import { type Actor, appendAuditEvent } from '../audit/audit-log.ts';
import { retiringOf } from '../credentials/secret.ts';
import { Conflict, NotFound } from '../errors.ts';
import { type ReviewDeps, requireConfirmation } from '../regeneration/review.ts';
import { requireCurrent } from '../secrets/manage-secrets.ts';
import { findSecrets, type SecretOwner } from '../secrets/secret-store.ts';
import type { Transaction } from '../storage/database.ts';
import { digestOfLink, generateCode, generateLink, verifierOfCode } from './handover-code.ts';
import {
  findLatestHandover,
  type Handover,
  insertHandover,
  lockHandover,
  saveHandoverEnd,
  stateOfHandover,
} from './handover-store.ts';

/** The limits of the time for which a link can be opened, in seconds. */
export const linkLifetimes = { min: 600, max: 2_592_000, default: 259_200 } as const;
/** The limits of a grace period that begins with a hand-over, in seconds. The receiver needs time to use the secret. */
export const handoverGracePeriods = { min: 3_600, max: 2_592_000, default: 86_400 } as const;

export type HandoverDeps = ReviewDeps & {
  /** The URL of the portal, whose listener serves the links; undefined if there is none. */
  portalUrl: string | undefined;
  /** Whether the deployment has a mail server. The receiver then requests the code by e-mail. */
  sendsMail: boolean;
};

export type HandoverRequest = {
  confirmation: string | undefined;
  receiver: { contactId: string | null; email: string };
  linkSeconds?: number | undefined;
  overlapSeconds?: number | undefined;
  starts?: Handover['starts'] | undefined;
  finishWhenUnused?: boolean | undefined;
};

/** A new hand-over. The only value with the link and the code. */
export type CreatedHandover = {
  handover: Handover;
  url: string;
  /** The code that the operator passes on; undefined if the receiver requests it by e-mail. */
  code: string | undefined;
};

/**
 * Creates a link by which a person receives a new secret of a locked owner. The secret is generated when the link is
 * opened, so nothing changes if it is not. An earlier link of the owner ends.
 * @throws {Conflict} `portal_off` if no listener serves links; `no_secret`; `rotation_in_progress`;
 *   `grace_period_too_short` if a grace period that begins now could end before the receiver has used the secret.
 * @throws {KeyturnError} 428 `confirmation_required` as for a rotation.
 */
export async function createHandover(
  transaction: Transaction,
  deps: HandoverDeps,
  actor: Actor,
  owner: SecretOwner,
  request: HandoverRequest,
): Promise<CreatedHandover> {
  if (deps.portalUrl === undefined) {
    throw new Conflict(
      'portal_off',
      'Links are opened at the portal, which this deployment does not have. Set KEYTURN_PORTAL_PORT or KEYTURN_PORTAL_URL.',
    );
  }
  const now = deps.clock();
  const at = new Date(now);
  const secrets = await findSecrets(transaction, owner);
  const current = requireCurrent(owner, secrets, { isReplaced: false }, now);
  if (retiringOf(secrets, now)) throw inProgress();
  const {
    linkSeconds = linkLifetimes.default,
    overlapSeconds = handoverGracePeriods.default,
    starts = 'opened',
  } = request;
  if (starts === 'created' && overlapSeconds < linkSeconds + handoverGracePeriods.min) {
    throw new Conflict(
      'grace_period_too_short',
      'A grace period that begins now must be at least an hour longer than the link is valid.',
    );
  }
  await requireConfirmation(transaction, deps, owner, secrets, { confirmation: request.confirmation });
  await endOpen(transaction, owner, { at, as: 'replaced', by: actor.name });

  const link = generateLink();
  const code = deps.sendsMail ? undefined : generateCode();
  const handover: Handover = {
    id: randomUUID(),
    owner: { kind: owner.kind, id: owner.id },
    secretId: current.id,
    ...request.receiver,
    code: code === undefined ? null : verifierOfCode(link, code),
    codeFrom: deps.sendsMail ? 'mail' : 'operator',
    sealedCode: null,
    codeSentAt: null,
    codesSent: 0,
    codeLanguage: null,
    wrongCodes: 0,
    overlapSeconds,
    starts,
    finishWhenUnused: request.finishWhenUnused ?? false,
    createdAt: at,
    createdBy: actor.name,
    expiresAt: new Date(now + linkSeconds * 1_000),
    ended: null,
    opened: null,
  };
  await insertHandover(transaction, { ...handover, link: digestOfLink(link) });
  await appendAuditEvent(transaction, {
    at,
    actor,
    action: `${owner.targetType}.hand_over`,
    targetType: owner.targetType,
    target: owner.target,
    before: { hint: current.hint },
    after: {
      handover_id: handover.id,
      email: handover.email,
      expires_at: handover.expiresAt,
      overlap_seconds: overlapSeconds,
      starts,
      finish_when_unused: handover.finishWhenUnused,
    },
  });
  return { handover, url: `${deps.portalUrl}/portal/handover/${link}`, code };
}

function inProgress(): Conflict {
  return new Conflict(
    'rotation_in_progress',
    'A grace period is running, and another rotation would end its previous secret. End or undo it first.',
  );
}

/**
 * Ends the link of a locked owner. The secret does not change.
 * @throws {NotFound} if there is no hand-over.
 * @throws {Conflict} `handover_ended` if it cannot be opened any more.
 */
export async function withdrawHandover(
  transaction: Transaction,
  deps: Pick<HandoverDeps, 'clock'>,
  actor: Actor,
  owner: SecretOwner,
): Promise<void> {
  const at = new Date(deps.clock());
  const latest = await findLatestHandover(transaction, owner);
  if (!latest) throw new NotFound('hand-over');
  if (stateOfHandover(latest, at.getTime()) !== 'open') {
    throw new Conflict('handover_ended', 'This link cannot be opened any more, so it cannot be withdrawn.');
  }
  await endOpen(transaction, owner, { at, as: 'withdrawn', by: actor.name });
  await appendAuditEvent(transaction, {
    at,
    actor,
    action: `${owner.targetType}.withdraw_handover`,
    targetType: owner.targetType,
    target: owner.target,
    before: { handover_id: latest.id, expires_at: latest.expiresAt },
  });
}

/** Ends the link of a locked owner that was not opened, also if it has expired. */
async function endOpen(
  transaction: Transaction,
  owner: SecretOwner,
  ended: NonNullable<Handover['ended']>,
): Promise<void> {
  const latest = await findLatestHandover(transaction, owner);
  const locked = latest && !latest.ended ? await lockHandover(transaction, latest.id) : undefined;
  if (locked && !locked.ended) await saveHandoverEnd(transaction, locked.id, ended);
}
