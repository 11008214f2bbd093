import type { Context } from 'koa';
import { isWellFormedScope } from '../clients/client.ts';
import type { Core } from '../core.ts';
import { KeyturnError, TooManyRequests } from '../errors.ts';
import { accessTokenType } from '../tokens/exchange-names.ts';
import { exchangeToken } from '../tokens/exchange-token.ts';
import { presentToken } from '../tokens/grant-rules.ts';
import { lifetimeOf } from '../tokens/token-record.ts';
import { callerOf } from './client-authentication.ts';
import { rethrowFailure } from './fast-path/head-start.ts';
import type { Form } from './form.ts';
import { formOf } from './receive-form.ts';
import { createDpopProofs } from './token-binding-proof.ts';

/** Creates the handler of token exchanges by authenticated resource servers (RFC 8693). */
export function exchangeGrant(core: Core) {
  const dpopProofs = createDpopProofs(core);
  return async (ctx: Context): Promise<void> => {
    rethrowFailure(ctx.req);
    const { client } = callerOf(ctx);
    if (client.kind !== 'resource_server') {
      throw new KeyturnError(
        'unauthorized_client',
        400,
        'Only resource servers can exchange tokens that they received.',
      );
    }
    const asked = readExchange(formOf(ctx));
    const seconds = core.tokenRate?.secondsToWait(client.id);
    if (seconds !== undefined)
      throw new TooManyRequests('This client has requested too many tokens. Try again later.', seconds);
    const confirmation = await dpopProofs.read(ctx, client.id);
    const issued = await exchangeToken(core, client, { ...asked, confirmation });
    core.tokenRate?.count(client.id);
    ctx.state['lifetimeSeconds'] = lifetimeOf(issued.record);
    ctx.body = { ...presentToken(issued), issued_token_type: accessTokenType };
  };
}

/**
 * Reads the parameters of an exchange (RFC 8693 §2.1). The exchange of an access key reads them too.
 * @throws {KeyturnError} `invalid_request`, `invalid_scope` or `invalid_target`.
 */
export function readExchange({ values, resources, audiences }: Form, tokenType: string = accessTokenType) {
  const subjectToken = values.get('subject_token');
  if (subjectToken === undefined) throw invalid("missing required parameter 'subject_token'");
  if (values.get('subject_token_type') !== tokenType) throw invalid(`subject_token_type: must be ${tokenType}.`);
  // The authenticated resource server itself is the actor.
  if (values.has('actor_token') || values.has('actor_token_type')) throw invalid('actor_token: not supported.');
  const wanted = values.get('requested_token_type');
  if (wanted !== undefined && wanted !== accessTokenType) {
    throw invalid(`requested_token_type: must be ${accessTokenType}.`);
  }
  const scope = values.get('scope');
  if (scope !== undefined && !isWellFormedScope(scope)) {
    throw new KeyturnError('invalid_scope', 400, 'scope: must be a list of scopes, separated by single spaces.');
  }
  const targets = [...new Set([...resources, ...audiences.filter(Boolean)])];
  if (targets.length > 1) throw new KeyturnError('invalid_target', 400, 'Only one resource can be requested.');
  return { subjectToken, scope, resource: targets[0] };
}

function invalid(message: string): KeyturnError {
  return new KeyturnError('invalid_request', 400, message);
}
