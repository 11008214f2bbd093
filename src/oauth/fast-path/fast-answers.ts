import type { PresentedAccessKey } from '../../access-keys/access-key-cache.ts';
import { recallAccessKey } from '../../access-keys/require-access-key.ts';
import type { Client } from '../../clients/client.ts';
import type { Core } from '../../core.ts';
import { isWellFormedSecret } from '../../credentials/credential-format.ts';
import {
  examineRecord,
  readToken,
  recallLiveToken,
  recallRecord,
  recallSameKey,
  recallSameToken,
} from '../../tokens/examine-access-token.ts';
import { demandToken, grantType, presentToken, readTokenRequest } from '../../tokens/grant-rules.ts';
import { isKnownToHaveEnded, makeAccessTokenNow } from '../../tokens/issue-access-token.ts';
import { isJwtShaped } from '../../tokens/jwt-access-token.ts';
import type { LiveToken, RefusedToken } from '../../tokens/seen-token.ts';
import { lifetimeOf, type TokenRecord } from '../../tokens/token-record.ts';
import type { Caller } from '../client-authentication.ts';
import type { Form } from '../form.ts';
import { isCounted, type KeyUse, useOfKey } from '../introspected-key.ts';
import { presentIntrospection, readIntrospectionRequest, rejectionOfToken } from '../issued-tokens.ts';
import { countScopes, type Rejection } from '../record-use.ts';

/** Answers to plain, valid requests, from the rules and presenters of the application. */

/** An answer of the fast path. */
export type FastAnswer = {
  /** JSON text. */
  body: string;
  /** The access key that came with the request. */
  accessKey: PresentedAccessKey | undefined;
  /** The lifetime of the issued token in seconds; 0 if none was issued. */
  lifetimeSeconds: number;
  /** The use of a stand-alone access key that was introspected. */
  keyUse?: KeyUse;
  /** The reason why an introspected token is not active. */
  rejection?: Rejection;
};

const tokenParameters = new Set([
  'grant_type',
  'scope',
  'resource',
  'client_id',
  'client_secret',
  'access_key',
  'client_instance',
]);
const introspectionParameters = new Set([
  'token',
  'token_type_hint',
  'client_id',
  'client_secret',
  'client_instance',
  'client_address',
]);

/**
 * Answers a plain token request. Returns undefined to leave the request to the application.
 * @throws {KeyturnError} if a rule of token requests rejects the request. The application applies the rule again.
 */
export function answerToken(
  core: Core,
  caller: Caller,
  form: Form,
  address: string,
): Promise<FastAnswer | undefined> | FastAnswer | undefined {
  const { values } = form;
  if (values.get('grant_type') !== grantType) return undefined;
  if (values.size > 1) for (const name of values.keys()) if (!tokenParameters.has(name)) return undefined;
  const asked = readTokenRequest(core, caller, form);
  // A caller from the cache has no certificate and no proof, so requests for bound tokens are rejected here.
  const request = demandToken(caller, asked, undefined);
  if (asked.accessKey !== undefined) {
    request.accessKey = recallAccessKey(core, asked.accessKey, { client: caller.client.id, address });
    if (!request.accessKey) return undefined;
  }
  const issued = makeAccessTokenNow(core, caller, caller.clientId, request);
  if (!issued) return undefined;
  core.tokenRate?.count(caller.client.id);
  countScopes(core, caller.client, issued.scope);
  const answer = {
    body: JSON.stringify(presentToken(issued)),
    accessKey: request.accessKey,
    lifetimeSeconds: lifetimeOf(issued.record),
  };
  if (!issued.isStored) return answer;
  const { record } = issued;
  return core.tokenStore
    .save(record, record.issuedAt)
    .then(() => (isKnownToHaveEnded(core, record) ? undefined : answer));
}

/**
 * Answers an introspection of a token. Returns undefined to leave the request to the application, before any store is
 * queried.
 * @throws {KeyturnError} if a rule of introspection requests rejects the request. The application applies the rule again.
 */
export function answerIntrospection(
  core: Core,
  caller: Caller,
  form: Form,
): FastAnswer | Promise<FastAnswer> | undefined {
  for (const name of form.values.keys()) if (!introspectionParameters.has(name)) return undefined;
  const { token, server, address } = readIntrospectionRequest(caller, form);
  if (!server) return undefined;
  if (isWellFormedSecret(token, 'ktk_')) return answerKey(core, token, server, address);
  const near = recallRecord(core, token);
  const same = near && recallSameToken(core, near, server);
  if (same) return { body: bodyOf(core, same), accessKey: undefined, lifetimeSeconds: 0 };
  const isOpaque = isWellFormedSecret(token, 'kta_');
  if (!isOpaque && !isJwtShaped(token)) return undefined;
  return (isOpaque ? core.tokenStore.find(token) : readToken(core, token)).then((record) => {
    const live = record && recallLiveToken(core, record, server);
    return live ? answerOf(core, live) : examine(core, record, server);
  });
}

/** Examines a token that is not cached. */
async function examine(core: Core, record: TokenRecord | undefined, server: Client): Promise<FastAnswer> {
  const examined = await examineRecord(core, record, server);
  return 'refusal' in examined ? answerInactive(server, examined) : answerOf(core, examined);
}

/** Answers an introspection of a stand-alone access key that is cached and was used before. */
function answerKey(core: Core, value: string, server: Client, address: string | undefined): FastAnswer | undefined {
  const live = recallSameKey(core, value, server, address);
  if (!live?.standalone) return undefined;
  return {
    body: bodyOf(core, live),
    accessKey: undefined,
    lifetimeSeconds: 0,
    keyUse: useOfKey(live.standalone, address),
  };
}

function answerInactive(server: Client, refused: RefusedToken): FastAnswer {
  const rejection = rejectionOfToken(server, refused);
  return { body: '{"active":false}', accessKey: undefined, lifetimeSeconds: 0, rejection };
}

function answerOf(core: Core, live: LiveToken): FastAnswer {
  return { body: JSON.stringify(presentIntrospection(core, live)), accessKey: undefined, lifetimeSeconds: 0 };
}

/** Cached bodies for tokens that are introspected repeatedly. */
const bodies = new WeakMap<LiveToken, string>();

function bodyOf(core: Core, live: LiveToken): string {
  if (isCounted(live)) return JSON.stringify(presentIntrospection(core, live));
  let body = bodies.get(live);
  if (body === undefined) {
    body = JSON.stringify(presentIntrospection(core, live));
    bodies.set(live, body);
  }
  return body;
}
