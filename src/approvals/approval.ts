import type { Permission } from '../contacts/contact.ts';

/** Acts that can need the approval of a second person, besides showing a secret again. */
export const guardedActs = ['revoke_all', 'delete', 'erase', 'root_key', 'policies'] as const;
type GuardedAct = (typeof guardedActs)[number];
/** Acts on what belongs to the deployment, which only its own settings can guard. */
export const deploymentActs: readonly ApprovalAct[] = ['erase', 'root_key'];

export const approvalActs = ['reveal', ...guardedActs] as const;
export type ApprovalAct = (typeof approvalActs)[number];

/** Which acts need approval. @property revealHours hours after its generation in which a secret is shown without it. */
export type ApprovalSettings = { acts: readonly GuardedAct[]; revealHours: number | null };

export const approvalStates = ['pending', 'approved', 'refused', 'withdrawn', 'used', 'expired'] as const;
export type ApprovalState = (typeof approvalStates)[number];

/** The subject of an act, as the audit log names it. */
export type ApprovalSubject = {
  type: 'client' | 'access_key' | 'contact' | 'organization' | 'deleted_contact' | 'root_key';
  id: string;
};

/** A request to do an act that can need approval. */
export type GuardedRequest = {
  act: ApprovalAct;
  /** Method and path of an endpoint, such as `DELETE /clients/{client_id}`, or a command. */
  route: string;
  subject: ApprovalSubject;
  /** The permission that the act needs. */
  permission: Permission;
  params: unknown;
  body: unknown;
};

export type Approval = {
  id: string;
  /** The organization of the requester. */
  organizationId: string;
  act: ApprovalAct;
  route: string;
  subject: ApprovalSubject;
  subjectName: string;
  permission: Permission;
  body: Record<string, unknown>;
  digest: Uint8Array;
  requester: string;
  requesterName: string;
  reason: string | null;
  state: ApprovalState;
  decidedBy: string | null;
  decidedName: string | null;
  note: string | null;
  createdAt: Date;
  decidedAt: Date | null;
  usedAt: Date | null;
  endsAt: Date;
};

/** How long a request waits for a decision, and how long an approved one can be used, in milliseconds. */
export const pendingMs = 72 * 3_600_000;
export const usableMs = 24 * 3_600_000;

/** Returns the state now: what waits longer than its time has expired. */
export function stateAt({ state, endsAt }: Approval, now: number): ApprovalState {
  const isOpen = state === 'pending' || state === 'approved';
  return isOpen && endsAt.getTime() <= now ? 'expired' : state;
}
