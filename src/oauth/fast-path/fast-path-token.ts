import { recallAccessKey } from '../../access-keys/require-access-key.ts';
import { bindsTokens, isWellFormedScope } from '../../clients/client.ts';
import type { Core } from '../../core.ts';
import { makeAccessTokenNow } from '../../tokens/issue-access-token.ts';
import type { Caller } from '../client-authentication.ts';
import { presentToken } from '../client-credentials-grant.ts';
import type { Form } from '../parse-form.ts';
import type { FastAnswer } from './fast-path-answer.ts';

const parameters = new Set(['grant_type', 'scope', 'resource', 'client_id', 'client_secret', 'access_key']);

/** Answers a plain token request. Returns undefined to leave the request to the application. */
export function answerToken(core: Core, caller: Caller, form: Form): Promise<FastAnswer> | FastAnswer | undefined {
  const { values, resources } = form;
  if (values.get('grant_type') !== 'client_credentials' || resources.length > 1) return undefined;
  if (values.size > 1) for (const name of values.keys()) if (!parameters.has(name)) return undefined;
  // Certificates and proofs are checked by the application only.
  if (bindsTokens(caller.client)) return undefined;
  if (core.tokenRate?.secondsToWait(caller.client.id) !== undefined) return undefined;
  const scope = values.get('scope');
  if (caller.client.kind !== 'integration' || (scope !== undefined && !isWellFormedScope(scope))) return undefined;
  const value = values.get('access_key');
  const accessKey = value === undefined ? undefined : recallAccessKey(core, value, caller.client.id);
  if (!accessKey && (value !== undefined || caller.client.accessKey === 'required')) return undefined;
  const issued = makeAccessTokenNow(core, caller, caller.clientId, {
    scope,
    resource: resources[0],
    generation: caller.secret?.generation ?? 0,
    accessKey,
    confirmation: undefined,
  });
  if (!issued) return undefined;
  core.tokenRate?.count(caller.client.id);
  const answer = { body: JSON.stringify(presentToken(core, issued)), accessKey };
  return issued.isStored ? core.tokenStore.save(issued.record, issued.record.issuedAt).then(() => answer) : answer;
}
