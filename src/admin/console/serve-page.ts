import { randomUUID } from 'node:crypto';
import type { Context } from 'koa';
import type { Permission } from '../../contacts/contact.ts';
import type { Core } from '../../core.ts';
import { withinOrganization } from '../../storage/organization-limit.ts';
import { type Access, checkAccess, contactLimitOf, operatorOf } from '../operator-auth.ts';
import type { Caller, ConsoleCalls } from './console-calls.ts';
import type { Page, Reply, Visit } from './page.ts';
import { leaveMessage, takeMessage } from './parts/done.ts';
import { readForm, seeOther } from './post-redirect-get.ts';
import { renderDocument, returnPathOf } from './render-document.ts';
import { ProofNeeded, type Session } from './sign-in/session.ts';
import { lookOf, siteOf } from './site.ts';

/** Maximum age of a proof of identity for actions that reveal a secret or grant access: 15 minutes. */
const freshMs = 900_000;

/** How a site proves the identity of a signed-in operator again. */
export type Proving = {
  /** Shows the page that asks for a proof. A submitted form is sent again together with the proof. */
  askProof(ctx: Context, form: URLSearchParams): Promise<void>;
  /** Checks the proof in a form. Asks again, and returns false, if it is not valid. */
  proveWithForm(ctx: Context, form: URLSearchParams): Promise<boolean>;
  continueWith(ctx: Context, operatorToken: string): Promise<void>;
};

/** Serves a page to a signed-in operator. */
export function servePage(core: Core, api: ConsoleCalls, signing: Proving, page: Page) {
  return async (ctx: Context): Promise<void> => {
    const operator = operatorOf(ctx);
    const can = (permission: Permission) => operator.permissions.includes(permission);
    const access = accessOf(page);
    checkAccess(operator, access);
    const ownContact = contactLimitOf(operator, access);
    const session = ctx.state['session'] as Session;
    const now = core.clock();
    const form = page.method === 'post' ? await readForm(ctx.req) : new URLSearchParams();
    let isFresh = now - session.provedAt.getTime() < freshMs;
    if (!isFresh && (form.has('operator_token') || form.has('passkey')) && !isRegistration(ctx)) {
      // The form was answered with a request for a proof of identity. It now arrives again, together with the proof.
      if (!(await signing.proveWithForm(ctx, form))) return;
      isFresh = true;
    }
    form.delete('operator_token');
    if (!isRegistration(ctx)) form.delete('passkey');
    const caller: Caller = { operator, session: session.id, isFresh };
    const visit: Visit = {
      core,
      site: siteOf(ctx),
      operator,
      session: session.id,
      path: ctx.path,
      url: `${ctx.protocol}://${ctx.host}`,
      params: { ...ctx['params'] },
      query: Object.fromEntries(ctx.URL.searchParams),
      form,
      once: readOnce(form),
      now,
      can,
      isOwnOnly: ownContact !== null,
      call: (route, call) => api.call(caller, route, call),
      rehearse: (route, call) => api.rehearse(caller, route, call),
      recall: (route, call) => api.recall(caller, route, call),
      keep: (value) => api.keep(caller, value),
      recallKept: (name) => api.recallKept(caller, name),
      continueWith: (token) => signing.continueWith(ctx, token),
    };
    const reply = await answer(page, visit, isFresh);
    if (reply === undefined) return await signing.askProof(ctx, form);
    if ('seeOther' in reply) {
      if (reply.done) leaveMessage(ctx, reply.seeOther, reply.done, reply.undo);
      return seeOther(ctx, reply.seeOther);
    }
    if ('json' in reply) {
      ctx.body = reply.json;
      return;
    }
    if ('download' in reply) {
      ctx.attachment(reply.download);
      ctx.type = reply.type;
      ctx.body = reply.content;
      return;
    }
    ctx.status = reply.status ?? 200;
    ctx.type = 'text/html; charset=utf-8';
    ctx.body = renderDocument({
      ...reply,
      site: siteOf(ctx),
      look: lookOf(ctx),
      operator,
      returnPath: returnPathOf(ctx),
      message: takeMessage(ctx),
    });
  };
}

/** Returns whether a form contains a new passkey, which is not a proof of identity. */
function isRegistration({ path }: Context): boolean {
  return path === '/console/passkeys';
}

/**
 * Runs the page's handler.
 * @returns undefined if a proof of identity is required first.
 */
async function answer(page: Page, visit: Visit, isFresh: boolean): Promise<Reply | undefined> {
  if (page.asksProof && !isFresh) return undefined;
  try {
    // Pages also query the database themselves.
    const { id, organizationId } = visit.operator;
    return await withinOrganization(organizationId, () => page.handle(visit), visit.isOwnOnly ? id : null);
  } catch (error) {
    if (error instanceof ProofNeeded) return undefined;
    throw error;
  }
}

/** Returns the form's idempotency key, or a random one if the field is missing or malformed. */
function readOnce(form: URLSearchParams): string {
  const once = form.get('once') ?? '';
  return /^[\w-]{1,64}$/.test(once) ? once : randomUUID();
}

/** Returns who may open a page. Pages of organizations have no limit but their permission. */
function accessOf({ permission, own, isForDeployment }: Page): Access {
  return {
    permission: permission ?? null,
    ...(own ? { own } : {}),
    ...(isForDeployment ? {} : { reach: 'organization' as const }),
  };
}
