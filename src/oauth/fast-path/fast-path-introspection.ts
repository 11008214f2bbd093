import type { Client } from '../../clients/client.ts';
import type { Core } from '../../core.ts';
import { isWellFormedSecret } from '../../credentials/credential-format.ts';
import {
  examineRecord,
  type LiveToken,
  readToken,
  recallLiveToken,
  recallRecord,
  recallSameToken,
} from '../../tokens/examine-access-token.ts';
import { isJwtShaped } from '../../tokens/jwt-access-token.ts';
import type { TokenRecord } from '../../tokens/token-record.ts';
import type { Caller } from '../client-authentication.ts';
import { presentIntrospection, readIntrospectionRequest } from '../introspect.ts';
import type { Form } from '../parse-form.ts';
import type { FastAnswer } from './fast-path-answer.ts';
import type { HeadStart } from './head-start.ts';

const parameters = new Set(['token', 'token_type_hint', 'client_id', 'client_secret']);

/**
 * Answers an introspection of a live token. Returns undefined to leave the request to the application; results
 * so far are in `headStart`, so that no store is queried twice.
 * @throws {KeyturnError} if a rule of introspection requests rejects the request. The application applies the rule again.
 */
export function answerIntrospection(
  core: Core,
  caller: Caller,
  form: Form,
  headStart: HeadStart,
): FastAnswer | Promise<FastAnswer | undefined> | undefined {
  for (const name of form.values.keys()) if (!parameters.has(name)) return undefined;
  const { token, server } = readIntrospectionRequest(caller, form);
  if (!server) return undefined;
  const near = recallRecord(core, token);
  const same = near && recallSameToken(core, near, server);
  if (same) return { body: bodyOf(core, same), accessKey: undefined };
  const isOpaque = isWellFormedSecret(token, 'kta_');
  if (!isOpaque && !isJwtShaped(token)) return undefined;
  return (isOpaque ? core.tokenStore.find(token) : readToken(core, token)).then((record) => {
    const live = record && recallLiveToken(core, record, server);
    return live ? answerOf(core, live) : examine(core, record, server, headStart);
  });
}

/** Examines a token that is not cached. */
async function examine(
  core: Core,
  record: TokenRecord | undefined,
  server: Client,
  headStart: HeadStart,
): Promise<FastAnswer | undefined> {
  const live = await examineRecord(core, record, server);
  headStart.examined = { live };
  return live && answerOf(core, live);
}

function answerOf(core: Core, live: LiveToken): FastAnswer {
  return { body: JSON.stringify(presentIntrospection(core, live)), accessKey: undefined };
}

/** Cached bodies for tokens that are introspected repeatedly. */
const bodies = new WeakMap<LiveToken, string>();

function bodyOf(core: Core, live: LiveToken): string {
  let body = bodies.get(live);
  if (body === undefined) {
    body = JSON.stringify(presentIntrospection(core, live));
    bodies.set(live, body);
  }
  return body;
}
