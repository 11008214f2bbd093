import type { Context, Next } from 'koa';
import { appendAuditEvent } from '../audit/audit-log.ts';
import type { Core } from '../core.ts';
import { KeyturnError, NotFound } from '../errors.ts';
import { readBody } from '../http/read-body.ts';
import { readLogoutToken } from '../identity-providers/logout-token.ts';
import { deleteTokensOfPerson } from '../operator-tokens/bounded-token-store.ts';
import { deleteSessionsOfPerson } from '../sessions/session-store.ts';
import { bodyCodes } from './respond-with-error.ts';

const path = /^\/back-channel-logout\/([\w-]+)$/;
const maxBytes = 64 * 1024;

/**
 * Serves `POST /back-channel-logout/{provider}`, at which an identity provider ends the sessions of a person (OpenID
 * Connect Back-Channel Logout 1.0). The signed logout token authenticates the request.
 */
export function serveBackChannelLogout(core: Core) {
  return async (ctx: Context, next: Next): Promise<void> => {
    const id = ctx.method === 'POST' ? path.exec(ctx.path)?.[1] : undefined;
    if (id === undefined) return await next();
    const provider = await core.providers.find(id);
    if (!provider) throw new NotFound('identity provider');
    const body = await readBody(ctx.req, {
      mediaType: 'application/x-www-form-urlencoded',
      maxBytes,
      isTypeCheckedIfEmpty: true,
      codes: bodyCodes,
    });
    const token = new URLSearchParams(body.toString('utf8')).get('logout_token');
    if (token === null) throw new KeyturnError('invalid_request', 400, 'logout_token: is required.');
    const loggedOut = await readLogoutToken(core.providers, provider, token);
    await core.change(async (transaction) => {
      const at = new Date(core.clock());
      await deleteTokensOfPerson(transaction, { provider: provider.id, ...loggedOut }, at);
      for (const target of await deleteSessionsOfPerson(transaction, { provider: provider.id, ...loggedOut }, at)) {
        await appendAuditEvent(transaction, {
          at,
          actor: { id: `identity-provider:${provider.id}`, name: provider.name, address: null },
          action: 'session.end_by_provider',
          targetType: 'contact',
          target,
        });
      }
    });
    ctx.status = 200;
    ctx.body = '';
  };
}
