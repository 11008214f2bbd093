import type Router from '@koa/router';
import { html } from 'htm/preact';
import type { Context } from 'koa';
import type { VNode } from 'preact';
import type { Core } from '../../core.ts';
import { stateOfHandover } from '../../handover/handover-store.ts';
import { findLink, type Opening, openHandover, type ShownLink } from '../../handover/open-handover.ts';
import { sendHandoverCode } from '../../handover/send-handover-code.ts';
import { lockSecretOwner } from '../../leaks/end-leak.ts';
import { findPortalSettings } from '../../organizations/organization-store.ts';
import { currentLanguage } from '../console/languages/language.ts';
import { msg, rich, t } from '../console/languages/translate.ts';
import { copyable, exactMoment } from '../console/parts/elements.ts';
import { textField } from '../console/parts/forms.ts';
import { notice } from '../console/parts/notices.ts';
import { readForm, seeOther } from '../console/post-redirect-get.ts';
import { renderDocument, returnPathOf } from '../console/render-document.ts';
import { readSessionCookie, useSession, visitorOf } from '../console/sign-in/session.ts';
import { lookOf, showLook, siteOf } from '../console/site.ts';

/**
 * Adds the page of a hand-over, at the address of its link. Loading it changes nothing, because mail servers and chats
 * open links too; its button sends a form that opens the link.
 */
export function addHandoverRoutes(router: Router, core: Core, addressOf: (request: Context['req']) => string): void {
  /** Finds the link, and shows pages as those of the organization. */
  async function find(ctx: Context): Promise<ShownLink | undefined> {
    const link = await findLink(core.unlimitedDatabase, linkIn(ctx));
    if (link) showLook(ctx, await findPortalSettings(core.unlimitedDatabase, link.organizationId));
    return link;
  }

  /** Returns whether the contact who receives the secret is signed in. */
  async function isSignedIn(ctx: Context, { contactId }: ShownLink): Promise<boolean> {
    const cookie = readSessionCookie(ctx);
    const session = cookie === undefined ? undefined : await useSession(core, siteOf(ctx).name, cookie);
    return session !== undefined && session.operator.id === contactId;
  }

  router.get('/handover/:link', async (ctx) => {
    const link = await find(ctx);
    if (!link) return show(ctx, ended(404, t(unknownLink)));
    const state = stateOfHandover(link, core.clock());
    if (state !== 'open') return show(ctx, ended(410, textOfEnd(state, link)));
    show(ctx, formOf(ctx, link, { needsCode: !(await isSignedIn(ctx, link)) }));
  });

  router.post('/handover/:link', async (ctx) => {
    const link = await find(ctx);
    if (!link) return show(ctx, ended(404, t(unknownLink)));
    const form = await readForm(ctx.req);
    const { address, userAgent } = visitorOf(ctx, addressOf);
    const deps = { ...core, lockOwner: lockSecretOwner };
    if (form.get('act') === 'send') {
      const from = { address, language: currentLanguage().tag };
      const sent = await core.change((transaction) => sendHandoverCode(transaction, deps, linkIn(ctx), from));
      if (sent === 'not_mailed' || sent === 'sent') return seeOther(ctx, ctx.path);
      return show(ctx, formOf(ctx, link, { needsCode: true, problem: t(notSent[sent]) }));
    }
    const needsCode = !(await isSignedIn(ctx, link));
    const code = form.get('code')?.trim() ?? '';
    if (needsCode && code === '') return show(ctx, formOf(ctx, link, { needsCode, problem: t('Enter the code.') }));
    const proof = needsCode ? { code } : { contactId: link.contactId ?? '' };
    const opening = await core.change((transaction) =>
      openHandover(transaction, deps, linkIn(ctx), proof, { address, userAgent }),
    );
    show(ctx, answerTo(ctx, link, opening));
  });
}

/** Returns the random value in the address. */
function linkIn(ctx: Context): string {
  return String(ctx['params']['link']);
}

type Answer = { status: number; title: string; content: VNode };

function answerTo(ctx: Context, link: ShownLink, opening: Opening): Answer {
  switch (opening.as) {
    case 'shown':
      return secretOf(link, opening);
    case 'wrong_code':
      return opening.left === 0
        ? ended(410, textOfEnd('too_many_codes', link))
        : formOf(ctx, link, { needsCode: true, problem: wrongCode(opening.left) });
    case 'no_code':
      return formOf(ctx, link, { needsCode: true, problem: t('The code is not valid any more. Request another one.') });
    case 'disabled':
      return ended(
        409,
        t('“{name}” is disabled at the moment. Try again later. The link still works.', { name: link.ownerName }),
      );
    case 'rotation_in_progress':
      return ended(
        409,
        t(
          'The secret of “{name}” is being replaced at the moment. Try again when that is over. The link still works.',
          { name: link.ownerName },
        ),
      );
    case 'ended':
      return ended(410, textOfEnd(opening.state, opening.handover ?? link));
  }
}

const notSent = {
  too_soon: msg('A code was sent less than a minute ago. Wait a moment before you request another one.'),
  too_many: msg('Too many codes were sent for this link. Ask for a new link. What you use now still works.'),
};

const unknownLink = msg('This link does not exist. Check that you have copied all of it.');

function wrongCode(left: number): string {
  return t('This is not the code. You have {left, plural, one {# more attempt} other {# more attempts}}.', { left });
}

function textOfEnd(
  state: Exclude<ReturnType<typeof stateOfHandover>, 'open'>,
  link: Pick<ShownLink, 'ended' | 'opened'>,
): string {
  switch (state) {
    case 'opened':
      return t(
        'This link was opened at {at} from {address}. A secret is shown only once. If you did not see it, tell the person who sent you the link: no other person may use it, and you need a new link. What you use now still works.',
        { at: link.ended?.at.toISOString() ?? '', address: link.opened?.address ?? t('an unknown address') },
      );
    case 'expired':
      return t('This link was not opened in time. Ask for a new one. What you use now still works.');
    case 'withdrawn':
      return t('This link was withdrawn. What you use now still works.');
    case 'replaced':
      return t('This link was replaced. Ask for the new one.');
    case 'too_many_codes':
      return t(
        'This link has ended, because too many wrong codes were entered. Ask for a new one. What you use now still works.',
      );
  }
}

function formOf(
  ctx: Context,
  link: ShownLink,
  { needsCode, problem }: { needsCode: boolean; problem?: string },
): Answer {
  const { ownerName, owner, expiresAt, createdBy } = link;
  const noun = nounOf(owner);
  const title =
    noun === 'access key'
      ? t('New access key of {name}', { name: ownerName })
      : t('New client secret of {name}', { name: ownerName });
  return {
    status: problem ? 400 : 200,
    title,
    content: html`<h1>${title}</h1>
      <p>${noun === 'access key' ? t('{sender} hands over a new access key to you. It is generated when you press the button, and shown once. Store it at once where your program reads it.', { sender: lookOf(ctx)?.name ?? createdBy }) : t('{sender} hands over a new client secret to you. It is generated when you press the button, and shown once. Store it at once where your program reads it.', { sender: lookOf(ctx)?.name ?? createdBy })}</p>
      ${problem && notice('bad', problem)}
      ${needsCode && link.codeFrom === 'mail' && link.codesSent === 0 ? requestForm(ctx, link) : openForm(ctx, link, needsCode)}
      <p class="hint">${rich('The link works until {at}.', { at: exactMoment(expiresAt.toISOString()) })}</p>`,
  };
}

/** Renders the form that opens the link, and after it the one that requests another code. */
function openForm(ctx: Context, link: ShownLink, needsCode: boolean): VNode {
  const { owner, email, codeFrom } = link;
  const isMailed = codeFrom === 'mail';
  const hint = isMailed
    ? t('The eight digits that were sent to {email}. They are valid for ten minutes.', { email })
    : t('The eight digits that you were given beside this link, which is for {email}.', { email });
  return html`<form class="card stack" method="post" action=${ctx.path}>
      ${
        needsCode &&
        textField({
          name: 'code',
          label: t('Code'),
          required: true,
          maxlength: 20,
          autocomplete: 'one-time-code',
          hint,
        })
      }
      <button class="primary">${owner.kind === 'client' ? t('Show secret') : t('Show key')}</button>
    </form>
    ${needsCode && isMailed && requestForm(ctx, link)}`;
}

/** Renders the form that requests the code by e-mail. */
function requestForm(ctx: Context, { email, codesSent }: ShownLink): VNode {
  const isFirst = codesSent === 0;
  return html`<form class=${isFirst ? 'card stack' : 'stack'} method="post" action=${ctx.path}>
    <input type="hidden" name="act" value="send" />
    ${isFirst && html`<p>${t('A code that is sent to {email} shows that you are the receiver.', { email })}</p>`}
    <button class=${isFirst ? 'primary' : ''}>${isFirst ? t('Send code') : t('Send another code')}</button>
  </form>`;
}

function secretOf({ ownerName, owner }: ShownLink, { regenerated }: Opening & { as: 'shown' }): Answer {
  const { plaintext = '', secret, previous } = regenerated;
  const noun = nounOf(owner);
  const title =
    noun === 'access key'
      ? t('New access key of {name}', { name: ownerName })
      : t('New client secret of {name}', { name: ownerName });
  return {
    status: 200,
    title,
    content: html`<h1>${title}</h1>
      ${notice('ok', html`<p>${rich('<strong>Copy it now.</strong> It is shown on this page only, and only once.')}</p>`)}
      <section class="card" aria-label=${t('Credentials')}>
        ${secret.clientId !== null && copyable({ id: 'client-id', label: t('Client ID'), value: secret.clientId })}
        ${copyable({ id: 'secret', label: noun === 'access key' ? t('Access key') : t('Client secret'), value: plaintext })}
      </section>
      <p>${rich('The previous one works until {at}. Replace it in all programs until then.', { at: exactMoment(previous.retiresAt.toISOString()) })}</p>`,
  };
}

function nounOf({ kind }: ShownLink['owner']): 'client secret' | 'access key' {
  return kind === 'client' ? 'client secret' : 'access key';
}

function ended(status: number, text: string): Answer {
  const title = t('The secret cannot be shown');
  return { status, title, content: html`<h1>${title}</h1> ${notice('bad', text)}` };
}

function show(ctx: Context, { status, title, content }: Answer): void {
  ctx.status = status;
  ctx.type = 'text/html; charset=utf-8';
  const body = html`<div class="narrow sign-in">${content}</div>`;
  ctx.body = renderDocument({
    site: siteOf(ctx),
    look: lookOf(ctx),
    title,
    operator: undefined,
    body,
    returnPath: returnPathOf(ctx),
  });
}
