import { createHash, randomUUID } from 'node:crypto';
import type { Core } from '../../core.ts';
import {
  type Called,
  callEndpoint,
  checkInsideRequest,
  findEndpoint,
  type Route,
  withoutUndefined,
} from '../call-endpoint.ts';
import type { Endpoint } from '../endpoint.ts';
import { keepValue, recallAnswer } from '../idempotency.ts';
import type { Operator } from '../operator-auth.ts';
import { anyApproval } from '../with-approval.ts';
import { ProofNeeded } from './sign-in/session.ts';

export type Call = {
  params?: Record<string, string | undefined>;
  query?: Record<string, string | undefined>;
  /** Undefined members are omitted. */
  body?: Record<string, unknown>;
  /** The form's idempotency key. For idempotent endpoints the response is kept, and `recall` returns it. */
  once?: string | undefined;
  /** The expected revision, as in If-Match. Only conditional endpoints check it. */
  revision?: string | undefined;
};

/** The operator and the console session that make a call. */
export type Caller = {
  operator: Operator;
  /** Unique name of the session, stable for its whole lifetime. */
  session: string;
  /** Whether the operator has proved their identity within the last 15 minutes. */
  isFresh: boolean;
};

/** Calls of the console to the endpoints of the admin API, on behalf of a signed-in operator. */
export type ConsoleCalls = {
  /**
   * Calls an endpoint of the admin API.
   * @param route the method and path, such as `PATCH /clients/{client_id}`.
   * @throws {Forbidden} if the operator lacks the endpoint's permission.
   * @throws {ProofNeeded} if the endpoint requires a recent proof of identity.
   */
  call<Body>(caller: Caller, route: Route, call?: Call): Promise<Called<Body>>;
  /**
   * Runs an endpoint without its commit.
   * @throws what the endpoint throws.
   */
  rehearse(caller: Caller, route: Route, call?: Call): Promise<void>;
  /**
   * Returns the kept response of an earlier call with the same `once` by the same session, or undefined if there is
   * none from the last ten minutes.
   * @throws {Forbidden} if the operator lacks the endpoint's permission.
   * @throws {ProofNeeded} if the endpoint requires a recent proof of identity.
   */
  recall<Body>(caller: Caller, route: Route, call: Pick<Call, 'params'> & { once: string }): Promise<Body | undefined>;
  /** Keeps a value of the session for ten minutes. Returns the name to recall it by. */
  keep(caller: Caller, value: unknown): Promise<string>;
  /** Returns a value that `keep` has kept for this session, or undefined if there is none. */
  recallKept<Value>(caller: Caller, name: string): Promise<Value | undefined>;
};

/**
 * Lets console pages call the endpoints of the admin API inside this process, with the same permissions, validation and
 * idempotency. A page can therefore do only what its operator can do through the API.
 * @param rehearsed the same endpoints, whose changes are not committed.
 */
export function createConsoleCalls(
  core: Core,
  endpoints: readonly Endpoint[],
  rehearsed: readonly Endpoint[],
): ConsoleCalls {
  function requireEndpoint({ operator, isFresh }: Caller, route: Route, among = endpoints): Endpoint {
    const endpoint = findEndpoint(among, route, operator);
    if (endpoint.asksProof && !isFresh) throw new ProofNeeded();
    return endpoint;
  }

  return {
    async call<Body>(caller: Caller, route: Route, call: Call = {}): Promise<Called<Body>> {
      const { operator } = caller;
      const { once, revision } = call;
      const endpoint = requireEndpoint(caller, route);
      const idempotent = once
        ? {
            operator: operator.id,
            key: keyOf(caller, route, call.params, once),
            request: digest(withoutUndefined(call.body)),
            viewer: undefined,
          }
        : undefined;
      return await callEndpoint<Body>(endpoint, operator, checkInsideRequest(endpoint, call), {
        revision,
        idempotent,
        approval: anyApproval,
      });
    },
    async rehearse(caller: Caller, route: Route, call: Call = {}): Promise<void> {
      const endpoint = requireEndpoint(caller, route, rehearsed);
      const { revision } = call;
      await callEndpoint(endpoint, caller.operator, checkInsideRequest(endpoint, call), { revision });
    },
    async recall<Body>(caller: Caller, route: Route, { params, once }: Pick<Call, 'params'> & { once: string }) {
      requireEndpoint(caller, route);
      const answer = await recallAnswer(core, caller.operator, keyOf(caller, route, params, once));
      return answer?.body as Body | undefined;
    },
    async keep(caller, value) {
      const name = randomUUID();
      await keepValue(core, { operator: caller.operator.id, key: keptKeyOf(caller, name) }, value);
      return name;
    },
    async recallKept<Value>(caller: Caller, name: string) {
      const answer = await recallAnswer(core, caller.operator, keptKeyOf(caller, name));
      return answer?.body as Value | undefined;
    },
  };
}

function keptKeyOf({ session }: Caller, name: string): string {
  return `console ${session} kept ${name}`;
}

/** Returns the idempotency key of a call, unique to the session, the route with its parameters, and the form. */
function keyOf({ session }: Caller, route: Route, params: Call['params'] = {}, once: string): string {
  const path = route.replace(/\{(\w+)\}/g, (_, name: string) => params[name] ?? '');
  return `console ${session} ${path} ${once}`;
}

function digest(request: unknown): Uint8Array {
  return createHash('sha256').update(JSON.stringify(request)).digest();
}
