import type { NoticeKind } from '../notices/notice.ts';

/** A receiver of notices over HTTP. */
export type Webhook = {
  id: string;
  /** Whose notices it receives. That of the deployment receives the notices of all organizations. */
  organizationId: string;
  name: string;
  url: string;
  /** Kinds of notices; null for all, also those of later versions. */
  kinds: readonly NoticeKind[] | null;
  /** Why nothing is delivered; null while it is enabled. */
  disabledAs: DisabledAs | null;
  /** The first failure since the last success. */
  failingSince: Date | null;
  lastFailure: string | null;
  lastSuccessAt: Date | null;
  /** Increases with every change by an operator. */
  revision: number;
  createdAt: Date;
  updatedAt: Date;
};

/**
 * `operator`: by hand. `failing`: nothing was delivered for three days. `gone`: the receiver answered 410, with which it
 * asks for no more.
 */
export const disabledReasons = ['operator', 'failing', 'gone'] as const;
type DisabledAs = (typeof disabledReasons)[number];

/** A secret that signs what a webhook receives. It is stored as a sealed copy, because signing needs its plaintext. */
export type WebhookSecret = {
  id: string;
  sealed: string;
  hint: string;
  createdAt: Date;
  /** Null for the current secret. */
  retiresAt: Date | null;
};
