import { createHash } from 'node:crypto';
import { Forbidden } from '../../errors.ts';
import { checkRequest } from '../check-request.ts';
import type { Endpoint } from '../endpoint.ts';
import type { Operator } from '../operator-auth.ts';

export type Call = {
  params?: Record<string, string | undefined>;
  query?: Record<string, string | undefined>;
  /** Members that are undefined count as not given. */
  body?: Record<string, unknown>;
  /** An idempotency key, where the endpoint takes one. */
  once?: string | undefined;
  /** Changes only this revision, where the endpoint looks at it. */
  revision?: string | undefined;
};

/** An answer's body in its form on the wire, and the revision that it tells of. */
export type Called<Body> = { body: Body; revision: string };

/** @param route as in `PATCH /clients/{client_id}`. */
export type CallEndpoint = <Body>(
  operator: Operator,
  route: `${'GET' | 'POST' | 'PATCH' | 'DELETE'} /${string}`,
  call?: Call,
) => Promise<Called<Body>>;

/**
 * The admin API for the pages, inside this process: the same endpoints with the same permissions, checks and idempotency. So what a
 * page can do is what its operator can do by the API, and no more.
 */
export function createCallEndpoint(endpoints: readonly Endpoint[]): CallEndpoint {
  const byRoute = new Map(endpoints.map((each) => [`${each.method.toUpperCase()} ${each.path}`, each]));
  return async <Body>(operator: Operator, route: string, call: Call = {}): Promise<Called<Body>> => {
    const endpoint = byRoute.get(route);
    if (!endpoint) throw new Error(`no such route: ${route}`);
    if (!operator.permissions.includes(endpoint.permission)) throw new Forbidden(`This needs ${endpoint.permission}.`);
    const body = withoutUndefined(call.body ?? {});
    const { once } = call;
    const answer = await endpoint.handle({
      operator,
      ...checkRequest(endpoint, { params: call.params, query: withoutUndefined(call.query ?? {}), body }),
      expectedRevision: endpoint.conditional && call.revision ? Number(call.revision) : undefined,
      idempotent:
        endpoint.idempotent && once
          ? { operator: operator.id, key: `console ${once}`, request: digest([route, call.params, body]) }
          : undefined,
    });
    return {
      body: JSON.parse(JSON.stringify(answer.body ?? null)) as Body,
      revision: /\d+/.exec(answer.headers?.['ETag'] ?? '')?.[0] ?? '',
    };
  };
}

function withoutUndefined(members: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(members).filter(([, member]) => member !== undefined));
}

function digest(request: unknown): Uint8Array {
  return createHash('sha256').update(JSON.stringify(request)).digest();
}
