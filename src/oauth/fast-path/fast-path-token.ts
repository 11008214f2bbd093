import { recallAccessKey } from '../../access-keys/require-access-key.ts';
import type { Core } from '../../core.ts';
import { makeAccessTokenNow } from '../../tokens/issue-access-token.ts';
import type { Caller } from '../client-authentication.ts';
import type { Form } from '../parse-form.ts';
import { demandToken, grantType, presentToken, readTokenRequest } from '../token-request.ts';
import type { FastAnswer } from './fast-path-answer.ts';

const parameters = new Set(['grant_type', 'scope', 'resource', 'client_id', 'client_secret', 'access_key']);

/**
 * Answers a plain token request. Returns undefined to leave the request to the application.
 * @throws {KeyturnError} if a rule of token requests rejects the request. The application applies the rule again.
 */
export function answerToken(core: Core, caller: Caller, form: Form): Promise<FastAnswer> | FastAnswer | undefined {
  const { values } = form;
  if (values.get('grant_type') !== grantType) return undefined;
  if (values.size > 1) for (const name of values.keys()) if (!parameters.has(name)) return undefined;
  const asked = readTokenRequest(core, caller, form);
  // A caller from the cache has no certificate and no proof, so requests for bound tokens are rejected here.
  const request = demandToken(caller, asked, undefined);
  if (asked.accessKey !== undefined) {
    request.accessKey = recallAccessKey(core, asked.accessKey, caller.client.id);
    if (!request.accessKey) return undefined;
  }
  const issued = makeAccessTokenNow(core, caller, caller.clientId, request);
  if (!issued) return undefined;
  core.tokenRate?.count(caller.client.id);
  const answer = { body: JSON.stringify(presentToken(core, issued)), accessKey: request.accessKey };
  return issued.isStored ? core.tokenStore.save(issued.record, issued.record.issuedAt).then(() => answer) : answer;
}
