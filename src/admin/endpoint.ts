import type { z } from 'zod';
import type { Permission } from '../contacts/permission.ts';
import type { IdempotentRequest } from './idempotency.ts';
import type { Operator } from './operator-auth.ts';

/** The answer of an endpoint, which is kept where a request may be repeated. */
export type Answer = {
  status: number;
  headers?: Readonly<Record<string, string>>;
  body?: unknown;
  /** Whose secret is in the body, so that every later look at it is an audit event. Not sent. */
  secretOf?: { targetType: 'client' | 'access_key' | 'operator_token'; target: string };
};

/** A request whose operator may do it and whose every part has the form that the endpoint declares. */
export type AdminRequest<Params, Query, Body> = {
  operator: Operator;
  params: Params;
  query: Query;
  body: Body;
  /** From If-Match: the change applies to one of these revisions only; undefined accepts any. */
  expectedRevisions: readonly number[] | undefined;
  idempotent: IdempotentRequest | undefined;
};

/** One route: the schemas that check a request are the ones that OpenAPI is made of. */
export type Endpoint = {
  method: 'get' | 'post' | 'patch' | 'delete';
  /** Below `/admin/v1`, in OpenAPI's form: `/clients/{client_id}`. */
  path: string;
  permission: Permission;
  /**
   * Whether the endpoint tells a secret or gives somebody more power. A session of the console must then have proved who it is within
   * the last 15 minutes. A program proves that with its operator token, at every request.
   */
  asksProof?: boolean;
  summary: string;
  params?: z.ZodObject;
  query?: z.ZodObject;
  body?: z.ZodObject;
  /** False if the body is only searched, so that it may hold text that no database can store. */
  storesBody?: boolean;
  /** Whether a repeated request with the same Idempotency-Key gets the first one's answer; `changeOnce` sees to it. */
  idempotent?: boolean;
  /** Whether If-Match counts. */
  conditional?: boolean;
  /** The body of each successful answer by its status; null: none. */
  answers: Readonly<Record<number, z.ZodType | null>>;
  /** The statuses of the problems that only some endpoints have. */
  problems?: readonly number[];
  handle(request: AdminRequest<unknown, unknown, unknown>): Promise<Answer>;
};

type Nothing = z.ZodObject<Record<never, never>>;

/** Declares an endpoint; what its handler gets is typed by its schemas. */
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
