import type { z } from 'zod';
import type { ApprovalAct, ApprovalSubject } from '../approvals/approval.ts';
import type { Permission } from '../contacts/contact.ts';
import type { Answer, IdempotentRequest } from './idempotency.ts';
import type { Operator } from './operator-auth.ts';

/** A validated request of an operator who has the endpoint's permission. */
export type AdminRequest<Params, Query, Body> = {
  operator: Operator;
  params: Params;
  query: Query;
  body: Body;
  /** Revisions from If-Match. The change applies only if the current revision is one of them; undefined accepts any. */
  expectedRevisions: readonly number[] | undefined;
  idempotent: IdempotentRequest | undefined;
  /** The id of an approved request for this act, from the header Keyturn-Approval. */
  approval?: string | undefined;
};

/** The groups of operations: the first part of each path, with what it contains. */
export const tags = {
  attention: 'What needs attention, with the next step for each.',
  expirations: 'What ends in the next days.',
  notices: 'Notices to people and programs, and the state of their deliveries.',
  search: 'Finds clients, access keys, contacts and organizations.',
  configuration: 'The whole configuration as documents: what differs, and how it is applied.',
  clients: 'Integrations and resource servers, their secrets, rotations and tokens.',
  contacts: 'People and partners, and their operator tokens.',
  invitations: 'Links that sign people in for the first time, once.',
  'portal-sessions': 'Links that sign people of an organization in to the portal.',
  webhooks: 'Receivers of events over HTTP, their signing secrets, and what was delivered.',
  organizations: 'Customers and partners, and the limits of what they may have.',
  offers: 'The APIs, and the scopes of them that may be granted.',
  'operator-tokens': 'Operator tokens with a name and an end, for programs and the command line.',
  'identity-providers': 'Where people sign in, and what their claims allow.',
  trusts: 'Issuers of workload identities whose tokens stand for integrations.',
  policies: 'Rules about credentials, and what follows from violating them.',
  posture: 'Clients and access keys, ranked by the risk of their credentials.',
  'access-keys': 'Access keys of contacts, and their rotations.',
  'signing-keys': 'Keys that sign JWT access tokens.',
  leaks: 'Finds and revokes credentials that were published by accident.',
  explain: 'Explains why something is accepted or rejected.',
  'audit-events': 'The audit log.',
  approvals: 'Requests for the approval of a second person, and which acts need one.',
  me: 'The operator who makes the request.',
} as const;

type Tag = keyof typeof tags;

/** A route of the admin API. Its schemas validate requests and generate the OpenAPI document. */
export type Endpoint = {
  method: 'get' | 'post' | 'patch' | 'delete';
  /** Path below `/admin/v1` in OpenAPI's form, such as `/clients/{client_id}`. */
  path: `/${Tag}` | `/${Tag}/${string}`;
  /** The name of the operation in generated clients. It never changes: a verb, and the noun that it acts on. */
  operationId: string;
  /** Null: every operator. */
  permission: Permission | null;
  /**
   * `organization` if operators of an organization may call the endpoint too. Row-level security shows them only what
   * belongs to it. Otherwise only operators of the whole deployment may.
   */
  reach?: 'organization';
  /**
   * Whether operators of an organization who lack the permission may call the endpoint for their own access keys.
   * Row-level security shows them nothing else.
   */
  own?: true;
  /**
   * Whether the endpoint reveals a secret or grants access. A console session must then have proved the operator's
   * identity within the last 15 minutes. API requests always prove it with the operator token.
   */
  asksProof?: boolean;
  /**
   * The act that may need the approval of a second person, and what the id in the path stands for. Without an id, it is
   * the organization in the body.
   */
  approval?: { act: ApprovalAct; of: ApprovalSubject['type'] };
  summary: string;
  params?: z.ZodObject;
  query?: z.ZodObject;
  body?: z.ZodObject;
  /** An example of the body. By default, one is derived from the schema. */
  example?: object;
  /**
   * Whether the body is stored. False if it is only searched: it may then contain text that the database cannot store.
   */
  storesBody?: boolean;
  /** Maximum size of the body. The default is 64 KiB. */
  maxBodyBytes?: number;
  /**
   * Whether a repeated request with the same Idempotency-Key gets the first response. The handler must use
   * `changeOnce`.
   */
  idempotent?: boolean;
  /** Whether If-Match is checked. */
  conditional?: boolean;
  /** Schema of each successful response body by status; null if the response has no body. */
  answers: Readonly<Record<number, z.ZodType | null>>;
  /** Statuses of errors that are specific to this endpoint. */
  problems?: readonly number[];
  handle(request: AdminRequest<unknown, unknown, unknown>): Promise<Answer>;
};

type Nothing = z.ZodObject<Record<never, never>>;

/** Declares an endpoint. The schemas determine the types of the handler's request. */
export function endpoint<
  Params extends z.ZodObject = Nothing,
  Query extends z.ZodObject = Nothing,
  Body extends z.ZodObject = Nothing,
>(
  declared: Omit<Endpoint, 'params' | 'query' | 'body' | 'handle'> & {
    params?: Params;
    query?: Query;
    body?: Body;
    handle(request: AdminRequest<z.output<Params>, z.output<Query>, z.output<Body>>): Promise<Answer>;
  },
): Endpoint {
  return declared as unknown as Endpoint;
}
