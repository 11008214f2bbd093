import type { Violation } from '../policies/policy.ts';
import { isOwn } from '../storage/organization-limit.ts';
import type { UsageSource } from '../usage/usage-source.ts';

/** Kinds of things that need attention, in the order in which they are listed within one urgency. */
export const attentionKinds = [
  'break_glass_used',
  'refused_credential',
  'approval_pending',
  'grace_period_ending',
  'resource_server_disabled',
  'resource_server_silent',
  'webhook_disabled',
  'audit_stream_late',
  'notice_parked',
  'certificate_expiring',
  'access_key_expiring',
  'grace_period_complete',
  'policy_violated',
  'unused_client',
  'unused_access_key',
] as const;
type AttentionKind = (typeof attentionKinds)[number];

/**
 * `urgent`: requests fail now, or will within a day. `soon`: requests will fail on a known date, or failed in the last
 * week. `later`: nothing fails; it is only untidy. The use of a break-glass operator token is `urgent` too.
 */
export const urgencies = ['urgent', 'soon', 'later'] as const;
export type Urgency = (typeof urgencies)[number];

/** A thing that needs attention, and the reason. */
export type AttentionItem = {
  kind: AttentionKind;
  urgency: Urgency;
  subject: AttentionSubject;
  /** The rotation that it is about; null for the other kinds. */
  regenerationId: string | null;
  /** The time of its end or of its last occurrence; null if it was never used. */
  at: Date | null;
  /** Up to three of the sources that it is about: those that are rejected, or have not moved. */
  sources: readonly Pick<UsageSource, 'address' | 'userAgent' | 'instance'>[];
  /** Number of these sources. */
  sourceCount: number;
  /** Sources that have moved; null unless it is about a rotation. */
  movedCount: number | null;
  /** Number of rejected requests. */
  requests: number;
  /** The policy that it violates; absent unless it is about one. */
  policy?: Violation;
  /** To whom a notice could not be delivered, and why; absent unless it is about one. */
  parked?: { receiver: string; reason: string };
  /** The requester of an approval; absent unless it is about a request. */
  requester?: string;
  /** Why nothing could be delivered to a webhook; absent unless it is about one. */
  lastFailure?: string | null;
};

/** Members of an item that is about no rotation and no rejected requests. */
export const withoutUse = {
  regenerationId: null,
  sources: [],
  sourceCount: 0,
  movedCount: null,
  requests: 0,
} as const satisfies Partial<AttentionItem>;

export type AttentionSubject = {
  type: 'client' | 'access_key' | 'notice' | 'audit_stream' | 'operator_token' | 'approval' | 'webhook';
  /** The Client ID, or the id of the access key, notice, operator token, request for approval or webhook. */
  id: string;
  name: string;
  /** The contact of an access key or an operator token. Its id is null if it was deleted. */
  contact: { id: string | null; name: string } | null;
};

export type Attention = {
  /** At most `limit` items of each kind, the most urgent first. */
  items: AttentionItem[];
  /** Number of things of each kind, without those that have none. At most `maxCount` are counted. */
  counts: { kind: AttentionKind; count: number }[];
};

/** The findings of one kind of check. */
export type Finding = { kind: AttentionKind; count: number; items: AttentionItem[] };

/** Highest number that is counted of one kind. It means "this many or more". */
export const maxCount = 1_000;
export const dayMs = 86_400_000;
/** Time before a failure from which an item is urgent. */
export const urgentMs = 24 * 3_600_000;
/** Time before its end from which an access key or a certificate needs attention. */
export const expiringMs = 14 * dayMs;
/** Time after its last use from which a client or an access key counts as unused. */
export const unusedMs = 90 * dayMs;
/** Time for which a rejected request with an ended credential needs attention. */
export const refusedMs = 7 * dayMs;
/** Age of an event from which a receiver of the audit log that has not accepted it needs attention. */
export const streamLateMs = 15 * 60_000;
/** Time for which a notice that could not be delivered needs attention. */
export const parkedMs = 14 * dayMs;
/** Time for which the use of a break-glass operator token needs attention. */
export const brokenGlassMs = 7 * dayMs;
/** Reasons for which a credential that has ended is rejected, as the index of usage_sources has them. */
export const refusedAsEnded = `refused_as IN ('retired_secret', 'undone_secret', 'key_left_set')`;
/** Selects the sources that were last rejected with an ended credential after $1, with the client or access key as owner. */
export const refusedSources = () => `
  SELECT coalesce((SELECT client FROM client_keys WHERE id = s.owner), s.owner) AS owner, s.generation, s.address, s.user_agent, s.refused, s.refused_at
  FROM (
    SELECT owner, generation, address, user_agent, refused, refused_at FROM usage_sources
    WHERE ${refusedAsEnded} AND refused_at > $1 AND ${isOwn('organization')} ORDER BY refused_at DESC LIMIT ${maxCount}
  ) s ORDER BY s.refused_at DESC`;
/** Longest list of items of one kind. */
export const maxItems = 50;
