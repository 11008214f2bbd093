import type { VNode } from 'preact';
import type { Permission } from '../../operators/permission.ts';
import type { Visit } from './visit.ts';

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
  handle(visit: Visit): Promise<Reply>;
};
