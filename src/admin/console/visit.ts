import type { Core } from '../../core.ts';
import type { Permission } from '../../operators/permission.ts';
import type { Operator } from '../operator-auth.ts';
import type { Call, Called } from './call-endpoint.ts';

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
  /** Whether they have proved who they are within the last 15 minutes. */
  isFresh: boolean;
  can(permission: Permission): boolean;
  /** Calls the admin API as the operator. */
  call<Body>(route: `${'GET' | 'POST' | 'PATCH' | 'DELETE'} /${string}`, call?: Call): Promise<Called<Body>>;
};
