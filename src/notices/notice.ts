import type { Permission } from '../contacts/contact.ts';

/**
 * Kinds of notices. `permission` is that of the operators who receive them if the thing has no owner. Mandatory kinds
 * cannot be switched off: somebody who takes over an account could otherwise hide what they do with it.
 */
export const noticeKinds = {
  grace_period_began: { permission: 'api_key:manage', isMandatory: false },
  grace_period_reminder: { permission: 'api_key:manage', isMandatory: false },
  grace_period_ended: { permission: 'api_key:manage', isMandatory: false },
  grace_period_undone: { permission: 'api_key:manage', isMandatory: false },
  retired_credential_used: { permission: 'api_key:manage', isMandatory: false },
  credential_expiring: { permission: 'integrations:edit', isMandatory: false },
  credential_expired: { permission: 'integrations:edit', isMandatory: false },
  credential_unused: { permission: 'integrations:edit', isMandatory: false },
  new_network: { permission: 'integrations:edit', isMandatory: false },
  handover_code_sent: { permission: 'api_key:manage', isMandatory: true },
  leak_reported: { permission: 'api_key:manage', isMandatory: true },
  permissions_changed: { permission: 'contacts:manage', isMandatory: true },
  operator_token_issued: { permission: 'contacts:manage', isMandatory: true },
  portal_link_requested: { permission: 'contacts:manage', isMandatory: true },
  signing_key_rotated: { permission: 'api_key:manage', isMandatory: false },
  webhook_disabled: { permission: 'api_key:manage', isMandatory: false },
  invited: { permission: 'contacts:manage', isMandatory: true },
  approval_requested: { permission: 'api_key:manage', isMandatory: true },
  approval_decided: { permission: 'api_key:manage', isMandatory: false },
  approval_bypassed: { permission: 'contacts:manage', isMandatory: true },
  root_key_old: { permission: 'api_key:manage', isMandatory: false },
} as const satisfies Record<string, { permission: Permission; isMandatory: boolean }>;

export type NoticeKind = keyof typeof noticeKinds;

/** What a notice is about, as the admin API names it. */
export type NoticeSubject = {
  type:
    | 'client'
    | 'access_key'
    | 'contact'
    | 'organization'
    | 'webhook'
    | 'signing_key'
    | 'deleted_contact'
    | 'root_key';
  /** The Client ID, the id of another thing, the `kid` of a signing key, or the version of the root key. */
  id: string;
  name: string;
};

/** A source of requests, as notices show it. */
export type NoticeSource = { address: string; user_agent: string; instance: string | null };

/** Times before the end of a grace period at which it is announced. */
export type Reminder = 'halfway' | '30_days' | '14_days' | '7_days' | '3_days' | '1_day' | '1_hour';

/** What a notice says, in the form in which receivers get it. Members that do not apply to its kind are absent. */
export type NoticeData = {
  /** Who caused it. */
  by?: string;
  /** The name of the contact of an access key. */
  contact_name?: string;
  regeneration_id?: string;
  /** The hand-over of a code. */
  handover_id?: string;
  /** When the grace period or the credential ends or ended. */
  ends_at?: string;
  reminder?: Reminder;
  /** The sources that have not moved, or whose requests were rejected; the latest ten. */
  sources?: readonly NoticeSource[];
  source_count?: number;
  moved_count?: number;
  /** The kind of credential that expires. A secret ends with a grace period, which has notices of its own. */
  credential?: 'access_key' | 'certificate';
  /** Whole days until it expires, at least; 0 if it has expired. */
  days_left?: number;
  /** Rejected requests, on `day` if there is one. */
  requests?: number;
  day?: string;
  last_used_at?: string | null;
  network?: string;
  /** What leaked. */
  leaked?: 'client_secret' | 'access_key' | 'access_token' | 'operator_token';
  /** Whether what leaked still works, because it was not revoked. */
  still_valid?: boolean;
  /** The last four characters of what leaked or was issued. */
  hint?: string;
  added?: readonly string[];
  removed?: readonly string[];
  age_days?: number;
  /** A request for the approval of a second person. `permission` is what the one who approves it needs. */
  approval?: {
    id: string;
    act: string;
    state: string;
    permission: Permission;
    requester: string;
    reason: string | null;
    note: string | null;
  };
  /** The ID of an invitation, whose link mails contain. */
  invitation?: string;
  /** The act that was done without the approval that it needs. */
  act?: string;
  /** Why a webhook could not be reached last. */
  last_failure?: string;
};

/** A notice to people and programs. */
export type Notice = {
  /** The same in every delivery, so that receivers can drop repeats. */
  id: string;
  kind: NoticeKind;
  at: Date;
  /** The organization of the thing. */
  organizationId: string;
  /** Identifies the thing that notices are ordered by: its type and its internal id. */
  thing: string;
  subject: NoticeSubject;
  data: NoticeData;
};

/** What a notice says to people. It is plain text. */
export type NoticeText = {
  /** One line, which is also the subject of a mail. */
  title: string;
  /** What happened, and what follows from it. */
  message: string;
  /** What to do, or null if nothing. */
  step: string | null;
};

/** The texts of one language. A function of each kind makes the title, the message and the step. */
export type NoticeTexts = {
  [Kind in Notice['kind']]: (notice: Notice, thing: string, time: (iso: string | undefined) => string) => NoticeText;
};
