import type { PresentedAccessKey } from '../access-keys/access-key-cache.ts';
import { requireAccessKey } from '../access-keys/require-access-key.ts';
import { bindsTokens } from '../clients/client.ts';
import type { Core } from '../core.ts';
import { issueAccessToken } from '../tokens/access-token.ts';
import type { Caller } from './client-authentication.ts';
import { presentToken } from './client-credentials-grant.ts';
import type { FastAnswer } from './fast-path-answer.ts';
import type { Form } from './read-form.ts';

const parameters = new Set(['grant_type', 'scope', 'resource', 'client_id', 'client_secret', 'access_key']);

/** Undefined: that is for the slow path. */
export function answerToken(core: Core, caller: Caller, form: Form): Promise<FastAnswer | undefined> | undefined {
  const { values, resources } = form;
  if (values.get('grant_type') !== 'client_credentials' || resources.length > 1) return undefined;
  for (const name of values.keys()) if (!parameters.has(name)) return undefined;
  // Certificates and proofs are not looked at here.
  if (bindsTokens(caller.client)) return undefined;
  if (caller.client.kind !== 'integration' || !isPlainScope(values.get('scope') ?? 'all')) return undefined;
  const accessKey = values.get('access_key');
  if (accessKey !== undefined) return answerWithKey(core, caller, form, accessKey);
  return caller.client.accessKey === 'required' ? undefined : issue(core, caller, form);
}

/** RFC 6749 §3.3: one space between one scope and the next. What may be in one follows from that it must be granted. */
function isPlainScope(scope: string): boolean {
  return !scope.startsWith(' ') && !scope.endsWith(' ') && !scope.includes('  ');
}

async function answerWithKey(core: Core, caller: Caller, form: Form, value: string): Promise<FastAnswer | undefined> {
  const accessKey = await requireAccessKey(core, value, caller.client.id);
  // Its first use is written down before it is answered.
  return accessKey.key.usedAt === null ? undefined : await issue(core, caller, form, accessKey);
}

async function issue(
  core: Core,
  caller: Caller,
  { values, resources }: Form,
  accessKey?: PresentedAccessKey,
): Promise<FastAnswer> {
  const issued = await issueAccessToken(core, caller, caller.clientId, {
    scope: values.get('scope'),
    resource: resources[0],
    generation: caller.secret?.generation ?? 0,
    accessKey,
  });
  return { body: JSON.stringify(presentToken(core, issued)), accessKey };
}
