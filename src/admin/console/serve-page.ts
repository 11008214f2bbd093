import type { Context } from 'koa';
import type { Core } from '../../core.ts';
import { Forbidden } from '../../errors.ts';
import type { Permission } from '../../operators/permission.ts';
import { operatorOf } from '../operator-auth.ts';
import type { Call, CallEndpoint } from './call-endpoint.ts';
import type { Page, Visit } from './page.ts';
import { readForm } from './read-form.ts';
import { renderDocument } from './render-document.ts';
import { seeOther } from './see-other.ts';
import type { Session } from './sign-in/session.ts';

/** For how long a sign-in is fresh enough to be shown a secret. */
const freshMs = 900_000;

export function servePage(core: Core, call: CallEndpoint, page: Page) {
  return async (ctx: Context): Promise<void> => {
    const operator = operatorOf(ctx);
    const { provedAt } = ctx.state['session'] as Session;
    const can = (permission: Permission) => operator.permissions.includes(permission);
    if (page.permission && !can(page.permission)) throw new Forbidden(`This needs ${page.permission}.`);
    const now = core.clock();
    const visit: Visit = {
      core,
      operator,
      path: ctx.path,
      params: { ...ctx['params'] },
      query: Object.fromEntries(ctx.URL.searchParams),
      form: page.method === 'post' ? await readForm(ctx.req) : new URLSearchParams(),
      now,
      isFresh: now - provedAt.getTime() < freshMs,
      can,
      call: <Body>(route: Parameters<Visit['call']>[0], request?: Call) => call<Body>(operator, route, request),
    };
    const reply = await page.handle(visit);
    if ('seeOther' in reply) return seeOther(ctx, reply.seeOther);
    ctx.status = reply.status ?? 200;
    ctx.type = 'text/html; charset=utf-8';
    ctx.body = renderDocument({ ...reply, operator });
  };
}
