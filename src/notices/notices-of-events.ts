import type { AuditEvent } from '../audit/audit-log.ts';
import type { Clock } from '../process/clock.ts';
import { requireRegeneration } from '../regeneration/regeneration-store.ts';
import type { OwnerRef } from '../secrets/secret-store.ts';
import type { Transaction } from '../storage/database.ts';
import { endedMoment, passedReminders, showSources } from './grace-periods.ts';
import { type NamedThing, nameThings, type ThingRef } from './name-things.ts';
import type { NoticeData, NoticeKind } from './notice.ts';
import { insertNotices, type NewNotice, noteMoments } from './notice-store.ts';

type Deps = { clock: Clock; ttlSeconds: number };

/** A notice about a change, before the names of the thing are known. */
type Draft = {
  event: AuditEvent;
  kind: NoticeKind;
  about: ThingRef;
  data: NoticeData;
  moment?: string;
  /** The rotation whose sources it shows. */
  rotation?: string;
};

/**
 * Stores the notices about the changes of a transaction, in this transaction. Everything that changes something records
 * an audit event, so the events are the only source.
 */
export async function insertNoticesOf(
  transaction: Transaction,
  deps: Deps,
  events: readonly AuditEvent[],
): Promise<void> {
  for (const event of events) await skipPassedReminders(transaction, event);
  const drafts = events.flatMap(draftsOf);
  if (drafts.length === 0) return;
  const named = await nameThings(
    transaction,
    drafts.map(({ about }) => about),
  );
  const notices: NewNotice[] = [];
  for (const { event, kind, about, data, moment, rotation } of drafts) {
    const found = named(about);
    if (!found) continue;
    const { contactName, isEnabled: _, ...thing } = found;
    const sources = rotation === undefined ? {} : await findSources(transaction, deps, found, rotation);
    const shown = { by: event.actor.name, ...(contactName === undefined ? {} : { contact_name: contactName }) };
    const requesters = event.after?.['requester_organization'];
    notices.push({
      ...thing,
      // Requests stay in the organization of their requester.
      ...(typeof requesters === 'string' ? { organizationId: requesters } : {}),
      kind,
      at: event.at,
      data: { ...shown, ...data, ...sources },
      ...(moment === undefined ? {} : { moment }),
    });
  }
  await insertNotices(transaction, notices);
}

async function findSources(transaction: Transaction, deps: Deps, { thing, subject }: NamedThing, id: string) {
  const owner = { kind: subject.type, id: thing.slice(subject.type.length + 1) } as OwnerRef;
  const regeneration = await requireRegeneration(transaction, owner, id);
  return await showSources(transaction, deps, owner, regeneration);
}

/** A longer grace period has new reminders. Those whose time is already over are left out. */
async function skipPassedReminders(transaction: Transaction, { action, at, after = {} }: AuditEvent): Promise<void> {
  if (!action.endsWith('.extend_regeneration')) return;
  const { regeneration_id: id, retires_at: end } = after as { regeneration_id: string; retires_at: Date };
  const moments = passedReminders(id, { endsAt: end, now: at.getTime() });
  await noteMoments(
    transaction,
    moments.map((moment) => ({ moment, at })),
  );
}

/** Returns the notices about an event. Most events have none. */
function draftsOf(event: AuditEvent): Draft[] {
  const { action, targetType, target, before = {}, after = {} } = event;
  const draft = (kind: NoticeKind, data: NoticeData, more: Partial<Draft> = {}): Draft[] => {
    const about = { type: targetType, id: target } as ThingRef;
    return [{ event, kind, about, data, ...more }];
  };
  const leaked = (what: NonNullable<NoticeData['leaked']>, about?: ThingRef) =>
    draft(
      'leak_reported',
      { leaked: what, ...(typeof before['hint'] === 'string' ? { hint: before['hint'] } : {}) },
      about ? { about } : {},
    );
  switch (action) {
    case 'client.regenerate':
    case 'access_key.regenerate':
      return rotated(event, draft);
    case 'client.finish_regeneration':
    case 'access_key.finish_regeneration': {
      return ended(event.at, String(after['regeneration_id']), draft);
    }
    case 'client.undo_regeneration':
    case 'access_key.undo_regeneration':
      return draft('grace_period_undone', { regeneration_id: String(after['regeneration_id']) });
    case 'client.send_handover_code':
    case 'access_key.send_handover_code':
      return draft('handover_code_sent', { handover_id: String(after['handover_id']) });
    case 'client.end_leaked_secret':
      return leaked('client_secret');
    case 'access_key.end_leaked_secret':
      return leaked('access_key');
    case 'token.end_leaked':
      return leaked('access_token', { type: 'client', id: String(before['client_id']) });
    case 'operator_token.end_leaked':
      return leaked('operator_token', { type: 'contact', id: target });
    case 'operator_token.issue':
      return draft(
        'operator_token_issued',
        { hint: String(after['hint']) },
        { about: { type: 'contact', id: target } },
      );
    case 'webhook.disable':
      // One that an operator has disabled is no surprise.
      return after['disabled_as'] === 'operator'
        ? []
        : draft('webhook_disabled', { last_failure: String(after['last_failure']) });
    case 'contact.invite':
      return draft('invited', { invitation: String(after['invitation']), ends_at: String(after['expires_at']) });
    case 'approval.request':
      return draft('approval_requested', { approval: approvalIn(after) });
    case 'approval.approve':
    case 'approval.refused':
    case 'approval.expire':
      return draft('approval_decided', { approval: approvalIn(after) });
    case 'approval.bypass':
      return draft('approval_bypassed', { act: String(after['act']) });
    case 'signing_key.rotate':
      return draft('signing_key_rotated', {});
    case 'contact.update':
    case 'access_key.update':
    case 'organization.update': {
      const [old, now] = [permissionsIn(before), permissionsIn(after)];
      const added = now.filter((each) => !old.includes(each));
      const removed = old.filter((each) => !now.includes(each));
      return added.length + removed.length > 0 ? draft('permissions_changed', { added, removed }) : [];
    }
    default:
      return [];
  }
}

function approvalIn(after: Record<string, unknown>): NonNullable<NoticeData['approval']> {
  const { id, act, state, permission, requester, reason, note } = after as NonNullable<NoticeData['approval']>;
  return { id, act, state, permission, requester, reason, note };
}

type MakeDraft = (kind: NoticeKind, data: NoticeData, more: Partial<Draft>) => Draft[];

function rotated({ at, after = {} }: AuditEvent, draft: MakeDraft): Draft[] {
  const { regeneration_id: id, previous_retires_at: end } = after as {
    regeneration_id: string;
    previous_retires_at: Date;
  };
  const earlier = after['ended_regeneration_id'] as string | undefined;
  return [
    ...(earlier === undefined ? [] : ended(at, earlier, draft)),
    ...(end > at
      ? draft('grace_period_began', { regeneration_id: id, ends_at: end.toISOString() }, { rotation: id })
      : ended(end, id, draft)),
  ];
}

function ended(at: Date, id: string, draft: MakeDraft): Draft[] {
  const data = { regeneration_id: id, ends_at: at.toISOString() };
  return draft('grace_period_ended', data, { rotation: id, moment: endedMoment(id) });
}

/** Returns what a contact or an access key may do, or an organization may have, as a list of texts. */
function permissionsIn(state: Record<string, unknown>): string[] {
  const { permissions, scope, ceiling } = state as {
    permissions?: readonly string[] | Readonly<Record<string, readonly string[]>>;
    scope?: string;
    ceiling?: Readonly<Record<string, unknown>>;
  };
  const scopes = Array.isArray(permissions)
    ? permissions
    : Object.entries(permissions ?? {}).flatMap(([kind, actions]) => actions.map((each: string) => `${kind}:${each}`));
  const limits = Object.entries(ceiling ?? {}).filter(([, limit]) => limit !== null);
  return [
    ...scopes,
    ...(scope ? scope.split(' ') : []),
    ...limits.map(([name, limit]) => `${name}: ${typeof limit === 'object' ? JSON.stringify(limit) : limit}`),
  ];
}
