import type { VNode } from 'preact';
import type { z } from 'zod';
import type { Permission } from '../../contacts/contact.ts';
import type { Core } from '../../core.ts';
import { KeyturnError, NotFound } from '../../errors.ts';
import type { Called, Route } from '../call-endpoint.ts';
import type { networkReportSchema } from '../network-schemas.ts';
import type { Operator } from '../operator-auth.ts';
import type { accessKeySchema } from '../presenters/present-access-key.ts';
import type { clientSchema } from '../presenters/present-client.ts';
import type { organizationSchema } from '../presenters/present-organization.ts';
import type { regenerationSchema, reviewSchema } from '../presenters/present-regeneration.ts';
import type { trialSchema, trustSchema } from '../presenters/present-trust.ts';
import type {
  attemptSchema,
  createdWebhookSchema,
  webhookDeliverySchema,
  webhookSchema,
} from '../presenters/present-webhook.ts';
import type { approvalSchema, ShownApprovalDetail as Detail } from '../routes/approval-routes.ts';
import type { approvalSettingsSchema } from '../routes/approval-settings-routes.ts';
import type { attentionSchema } from '../routes/attention-routes.ts';
import type { eventSchema } from '../routes/audit-routes.ts';
import type { issuedSchema, knownSchema } from '../routes/authorization-token-routes.ts';
import type { keysReviewSchema } from '../routes/contact-keys-routes.ts';
import type { contactSchema } from '../routes/contact-routes.ts';
import type { expirationSchema } from '../routes/expiration-routes.ts';
import type { explanationSchema } from '../routes/explain-routes.ts';
import type { createdSchema as createdHandoverSchema, handoverSchema } from '../routes/handover-routes.ts';
import type { providerSchema } from '../routes/identity-provider-routes.ts';
import type { invitationSchema } from '../routes/invitation-routes.ts';
import type { noticeSchema } from '../routes/notice-routes.ts';
import type { noticeSettingsSchema } from '../routes/notice-settings-routes.ts';
import type { offerSchema } from '../routes/offer-routes.ts';
import type { tokenSchema } from '../routes/operator-token-routes.ts';
import type { passkeySchema } from '../routes/passkey-routes.ts';
import type { policySchema } from '../routes/policy-routes.ts';
import type { postureSchema } from '../routes/posture-routes.ts';
import type { foundSchema } from '../routes/search-routes.ts';
import type { sessionSchema } from '../routes/session-routes.ts';
import type { keysSchema } from '../routes/signing-key-routes.ts';
import type { accessKeyUsageSchema, clientUsageSchema } from '../routes/usage-routes.ts';
import type { Call } from './console-calls.ts';
import type { Done } from './parts/done.ts';
import type { Site } from './site.ts';

/** The navigation section that a page belongs to. */
export type Section =
  | 'home'
  | 'search'
  | 'integrations'
  | 'access-keys'
  | 'contacts'
  | 'organizations'
  | 'approvals'
  | 'webhooks'
  | 'identity-providers'
  | 'trusts'
  | 'operator-tokens'
  | 'posture'
  | 'resource-servers'
  | 'signing-keys'
  | 'audit'
  | 'explain'
  | 'system';

/**
 * A page to render, or the path to redirect to after an action (post, redirect, get), with what that page then says.
 */
export type Reply =
  | {
      status?: number;
      title: string;
      section?: Section;
      body: VNode;
      /** The address that the browser opens next. */
      refresh?: string;
      /** The text in the search field at the top of every page. */
      sought?: string;
    }
  | { seeOther: `/console/${string}`; done?: Done; undo?: string | undefined }
  /** The answer to a request of the browser script. */
  | { json: object }
  /** A file that the browser stores. */
  | { download: string; type: string; content: string };

/** A page. The paths in its reply are canonical: they begin with `/console` on every site. */
export type Page = {
  method: 'get' | 'post';
  /** Path below `/console`, such as `/clients/:client_id`. */
  path: string;
  /**
   * Permission that is checked before the form is read. Endpoints that the page calls check their own permissions as
   * well.
   */
  permission?: Permission;
  /** Whether operators of an organization who lack the permission may open the page, to see their own access keys. */
  own?: true;
  /** Whether operators of an organization cannot open the page, because it is about the whole deployment. */
  isForDeployment?: true;
  /**
   * Set on a form whose action requires a recent proof of identity: asks for the proof before the form is filled in.
   */
  asksProof?: boolean;
  handle(visit: Visit): Promise<Reply>;
};

/** A request of a signed-in operator. */
export type Visit = {
  core: Core;
  site: Site;
  operator: Operator;
  /** The id of the session. */
  session: string;
  /** Canonical path of the page itself. */
  path: string;
  /** The URL that the request was sent to, without a path. */
  url: string;
  params: Readonly<Record<string, string>>;
  query: Readonly<Record<string, string>>;
  /** The submitted fields of a POST request; empty otherwise. */
  form: URLSearchParams;
  now: number;
  /** Idempotency key of the form. It stays the same if the form is sent again. */
  once: string;
  can(permission: Permission): boolean;
  /** Whether the page is opened only for what belongs to its operator. */
  isOwnOnly: boolean;
  /** Calls the admin API on behalf of the operator. */
  call<Body>(route: Route, call?: Call): Promise<Called<Body>>;
  /**
   * Runs an endpoint up to the point where it would commit, to find out whether it would succeed.
   * @throws what the endpoint throws.
   */
  rehearse(route: Route, call?: Call): Promise<void>;
  /** Returns the response to a form that this session sent in the last ten minutes, or undefined. */
  recall<Body>(route: Route, call: Pick<Call, 'params'> & { once: string }): Promise<Body | undefined>;
  /** Keeps a value of the session for ten minutes. Returns the name to recall it by. */
  keep(value: unknown): Promise<string>;
  /** Returns a value that this session has kept, or undefined if there is none. */
  recallKept<Value>(name: string): Promise<Value | undefined>;
  /**
   * Moves the session to a new operator token of the same contact, because revoking the previous token ends its
   * sessions.
   */
  continueWith(operatorToken: string): Promise<void>;
};

/** Statuses that a user can fix and submit again: invalid input, a conflicting state, or an outdated revision. */
const correctable = [400, 409, 412, 422, 428];

/**
 * Runs a form's action. Errors that the user can fix are returned, to be shown with the form; all others are thrown and
 * become an error page.
 */
export async function attempt<T>(work: () => Promise<T>): Promise<{ done: T } | { problem: KeyturnError }> {
  try {
    return { done: await work() };
  } catch (error) {
    if (error instanceof KeyturnError && correctable.includes(error.status)) return { problem: error };
    throw error;
  }
}

/** Resolves to the value, or to undefined if the call fails with `NotFound`. */
export async function unlessMissing<T>(asked: Promise<T>): Promise<T | undefined> {
  return await asked.catch((error: unknown) => {
    if (error instanceof NotFound) return undefined;
    throw error;
  });
}

/** Response bodies of the admin API, as console pages receive them. */
export type ShownClient = z.input<typeof clientSchema>;
export type ShownContact = z.input<typeof contactSchema>;
export type ShownOrganization = z.input<typeof organizationSchema>;
export type ShownNetworkReport = z.output<typeof networkReportSchema>;
export type ShownNetworks = Pick<ShownNetworkReport, 'allowed_networks' | 'network_mode'>;
export type ShownPosture = z.output<typeof postureSchema>;
export type ShownPolicy = z.output<typeof policySchema>;
export type ShownAccessKey = z.input<typeof accessKeySchema>;
export type ShownRegeneration = z.input<typeof regenerationSchema>;
export type ShownHandover = z.input<typeof handoverSchema>;
export type CreatedHandover = z.input<typeof createdHandoverSchema>;
export type ShownWebhook = z.input<typeof webhookSchema>;
export type CreatedWebhook = z.input<typeof createdWebhookSchema>;
export type ShownWebhookDelivery = z.input<typeof webhookDeliverySchema>;
export type ShownWebhookTest = z.input<typeof attemptSchema>;
export type ShownReview = z.input<typeof reviewSchema>;
export type ShownKeysReview = z.input<typeof keysReviewSchema>;
export type ShownUsage = z.input<typeof clientUsageSchema> | z.input<typeof accessKeyUsageSchema>;
export type ShownAuthorizationToken = z.input<typeof knownSchema>;
export type IssuedAuthorizationToken = z.input<typeof issuedSchema>;
export type ShownSigningKeys = z.input<typeof keysSchema>;
export type ShownApproval = z.input<typeof approvalSchema>;
export type ShownApprovalDetail = Detail;
export type ShownApprovalSettings = z.input<typeof approvalSettingsSchema>;
export type ShownInvitation = z.input<typeof invitationSchema>;
export type ShownPasskey = z.input<typeof passkeySchema>;
export type ShownAttention = z.input<typeof attentionSchema>;
export type ShownFound = z.input<typeof foundSchema>;
export type ShownEvent = z.input<typeof eventSchema>;
export type ShownExpiration = z.input<typeof expirationSchema>;
export type ShownOffer = z.input<typeof offerSchema>;
export type ShownTrust = z.input<typeof trustSchema>;
export type ShownTrial = z.input<typeof trialSchema>;
export type ShownProvider = z.input<typeof providerSchema>;
export type ShownOperatorToken = z.input<typeof tokenSchema>;
export type ShownSession = z.input<typeof sessionSchema>;
export type ShownNotice = z.input<typeof noticeSchema>;
export type ShownNoticeSettings = z.input<typeof noticeSettingsSchema>;
export type ShownExplanation = z.input<typeof explanationSchema>;
export type Listed<Item> = {
  data: Item[];
  next_cursor: string | null;
  previous_cursor?: string;
  total?: { count: number; has_more: boolean };
};
