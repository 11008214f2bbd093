import type { VNode } from 'preact';
import type { Permission } from '../../contacts/permission.ts';
import type { Core } from '../../core.ts';
import type { Operator } from '../operator-auth.ts';
import type { Call, Called, Route } from './call-endpoint.ts';

/** What a page is part of, in the navigation. */
export type Section =
  | 'integrations'
  | 'access-keys'
  | 'contacts'
  | 'resource-servers'
  | 'signing-keys'
  | 'audit'
  | 'settings';

/** A page to be shown, or, after something was done, the address of one (post, redirect, get). */
export type Reply =
  | { status?: number; title: string; section?: Section; body: VNode }
  | { seeOther: `/console/${string}` };

/** One address of the console. */
export type Page = {
  method: 'get' | 'post';
  /** Below `/console`: `/clients/:client_id`. */
  path: string;
  /** Without it, the page is refused before anything is read. What is called has a permission of its own. */
  permission?: Permission;
  /** For a form that leads to something that asks for a proof: asks for it before the form is filled in. */
  asksProof?: boolean;
  handle(visit: Visit): Promise<Reply>;
};

/** One request of somebody who is signed in. */
export type Visit = {
  core: Core;
  operator: Operator;
  /** The page's own address, to come back to. */
  path: string;
  params: Readonly<Record<string, string>>;
  query: Readonly<Record<string, string>>;
  /** Empty unless it is a POST. */
  form: URLSearchParams;
  now: number;
  /** Names the one sending of this form: the same form sent again has the same name. */
  once: string;
  can(permission: Permission): boolean;
  /** Calls the admin API as the operator. */
  call<Body>(route: Route, call?: Call): Promise<Called<Body>>;
  /** The answer that an earlier form of this session got, for ten minutes; undefined if there is none. */
  recall<Body>(route: Route, call: Pick<Call, 'params'> & { once: string }): Promise<Body | undefined>;
  /** Lets the session go on with a new operator token of the same contact; the one that it was started with has ended. */
  continueWith(operatorToken: string): Promise<void>;
};
