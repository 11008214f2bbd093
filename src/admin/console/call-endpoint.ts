import { createHash } from 'node:crypto';
import type { Core } from '../../core.ts';
import { Forbidden } from '../../errors.ts';
import { checkRequest } from '../check-request.ts';
import type { Endpoint } from '../endpoint.ts';
import { recallAnswer } from '../idempotency.ts';
import type { Operator } from '../operator-auth.ts';
import { ProofNeeded } from './sign-in/proof-needed.ts';

export type Call = {
  params?: Record<string, string | undefined>;
  query?: Record<string, string | undefined>;
  /** Members that are undefined count as not given. */
  body?: Record<string, unknown>;
  /** The name of the form's one sending, where the endpoint may be repeated. Its answer is kept for `recall`. */
  once?: string | undefined;
  /** Changes only this revision, where the endpoint looks at it. */
  revision?: string | undefined;
};

/** An answer's body in its form on the wire, and the revision that it tells of. */
export type Called<Body> = { body: Body; revision: string };

export type Route = `${'GET' | 'POST' | 'PATCH' | 'DELETE'} /${string}`;

/** Who calls, and in which session of the console. */
export type Caller = {
  operator: Operator;
  /** Names the session: the same for as long as it lives, and no other session has it. */
  session: string;
  /** Whether they have proved who they are within the last 15 minutes. */
  isFresh: boolean;
};

export type CallEndpoint = {
  /**
   * Calls an endpoint.
   * @param route as in `PATCH /clients/{client_id}`.
   * @throws {ProofNeeded} if the endpoint asks for a proof, and the last one is too old.
   */
  call<Body>(caller: Caller, route: Route, call?: Call): Promise<Called<Body>>;
  /**
   * The kept answer of an earlier call with `once`, by the same session, in the last ten minutes; undefined if there is none.
   * @throws {ProofNeeded} as `call` does.
   */
  recall<Body>(caller: Caller, route: Route, call: Pick<Call, 'params'> & { once: string }): Promise<Body | undefined>;
};

/**
 * The admin API for the pages, inside this process: the same endpoints with the same permissions, checks and idempotency. So what a
 * page can do is what its operator can do by the API, and no more.
 */
export function createCallEndpoint(core: Core, endpoints: readonly Endpoint[]): CallEndpoint {
  const byRoute = new Map(endpoints.map((each) => [`${each.method.toUpperCase()} ${each.path}`, each]));

  function requireEndpoint({ operator, isFresh }: Caller, route: Route): Endpoint {
    const endpoint = byRoute.get(route);
    if (!endpoint) throw new Error(`no such route: ${route}`);
    if (!operator.permissions.includes(endpoint.permission)) throw new Forbidden(`This needs ${endpoint.permission}.`);
    if (endpoint.asksProof && !isFresh) throw new ProofNeeded();
    return endpoint;
  }

  return {
    async call<Body>(caller: Caller, route: Route, call: Call = {}): Promise<Called<Body>> {
      const { operator } = caller;
      const endpoint = requireEndpoint(caller, route);
      const body = withoutUndefined(call.body ?? {});
      const { once } = call;
      const answer = await endpoint.handle({
        operator,
        ...checkRequest(endpoint, { params: call.params, query: withoutUndefined(call.query ?? {}), body }),
        expectedRevisions: endpoint.conditional && call.revision ? [Number(call.revision)] : undefined,
        idempotent:
          endpoint.idempotent && once
            ? {
                operator: operator.id,
                key: keyOf(caller, route, call.params, once),
                request: digest(body),
                viewer: undefined,
              }
            : undefined,
      });
      return {
        body: JSON.parse(JSON.stringify(answer.body ?? null)) as Body,
        revision: /\d+/.exec(answer.headers?.['ETag'] ?? '')?.[0] ?? '',
      };
    },
    async recall<Body>(caller: Caller, route: Route, { params, once }: Pick<Call, 'params'> & { once: string }) {
      requireEndpoint(caller, route);
      const answer = await recallAnswer(core, caller.operator, keyOf(caller, route, params, once));
      return answer?.body as Body | undefined;
    },
  };
}

/** Under which an answer is kept: for this session, and for this request of it. */
function keyOf({ session }: Caller, route: Route, params: Call['params'] = {}, once: string): string {
  const path = route.replace(/\{(\w+)\}/g, (_, name: string) => params[name] ?? '');
  return `console ${session} ${path} ${once}`;
}

function withoutUndefined(members: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(members).filter(([, member]) => member !== undefined));
}

function digest(request: unknown): Uint8Array {
  return createHash('sha256').update(JSON.stringify(request)).digest();
}
