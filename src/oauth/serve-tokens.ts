import type { Context, Next } from 'koa';
import type { Core } from '../core.ts';
import { clientCredentialsGrant } from './client-credentials-grant.ts';
import { introspect } from './introspect.ts';
import { formOf } from './read-form.ts';

/**
 * Issues and introspects tokens. oidc-provider rejects all other requests to these two endpoints, such as other grants,
 * and serves revocation.
 */
export function serveTokens(core: Core) {
  const issue = clientCredentialsGrant(core);
  return async (ctx: Context, next: Next): Promise<void> => {
    const { values } = formOf(ctx);
    const isIssuing = ctx.path === '/oauth2/token' && values.get('grant_type') === 'client_credentials';
    const isExamining = ctx.path === '/oauth2/introspect' && values.has('token');
    if (!isIssuing && !isExamining) return await next();
    ctx.set('Cache-Control', 'no-store');
    if (isIssuing) await issue(ctx);
    else ctx.body = await introspect(core, ctx);
  };
}
