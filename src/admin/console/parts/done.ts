import { html } from 'htm/preact';
import type { Context } from 'koa';
import type { VNode } from 'preact';
import { msg, type Message as Text, t } from '../languages/translate.ts';
import { clearCookie, cookieNames, setCookie } from '../sign-in/session.ts';
import { siteOf } from '../site.ts';
import { postForm } from './forms.ts';
import { notice } from './notices.ts';

type Message = {
  text: Text;
  /**
   * The act that undoes it: a path below the page that shows the message, and the label of its button. An act that is
   * reviewed first has a link.
   */
  undo?: { path: `/${string}`; label: Text; isReviewed?: true };
};

/** Messages that a page shows once, after the act that led to it. */
const messages = {
  saved: { text: msg('Saved.') },
  'edit-undone': { text: msg('Undone. Everything is as it was before the edit.') },
  disabled: {
    text: msg('Disabled. Its active tokens were revoked.'),
    undo: { path: '/enable', label: msg('Enable again') },
  },
  'organization-disabled': {
    text: msg('Disabled. The active tokens of its integrations were revoked.'),
    undo: { path: '/enable', label: msg('Enable again') },
  },
  'server-disabled': {
    text: msg('Disabled. Its requests to Keyturn are rejected. No tokens were revoked.'),
    undo: { path: '/enable', label: msg('Enable again') },
  },
  'key-disabled': {
    text: msg('Disabled. Its tokens are inactive while it is disabled.'),
    undo: { path: '/enable', label: msg('Enable again') },
  },
  'keys-disabled': {
    text: msg('Disabled all access keys. Their tokens are inactive while they are disabled.'),
    undo: { path: '/disable-access-keys/undo', label: msg('Enable them again') },
  },
  'keys-enabled': { text: msg('Enabled the access keys again.') },
  enabled: { text: msg('Enabled.'), undo: { path: '/disable', label: msg('Disable again…'), isReviewed: true } },
  deleted: { text: msg('Deleted. Its history stays in the audit log.') },
  removed: { text: msg('Removed.') },
  'tokens-revoked': { text: msg('Revoked all active tokens. The Client ID and its credentials did not change.') },
  extended: { text: msg('The grace period ends later now. The previous value works until then.') },
  finished: { text: msg('The grace period has ended. The previous value no longer works.') },
  'marked-moved': {
    text: msg('Marked as moved. If the source uses the previous value again, it no longer counts as moved.'),
  },
  'unmarked-moved': { text: msg('Mark withdrawn. The source counts as moved by what was seen of it alone.') },
  undone: {
    text: msg('Rotation undone. The previous value is the current one again, and the new one no longer works.'),
  },
  'webhook-enabled': { text: msg('Enabled. Events of the meantime are delivered only if you deliver them again.') },
  'webhook-disabled': {
    text: msg('Disabled. Nothing is delivered.'),
    undo: { path: '/enable', label: msg('Enable again') },
  },
  'webhook-replayed': { text: msg('The events will be delivered again within a few seconds.') },
  'handover-withdrawn': { text: msg('Withdrew the link. The secret did not change.') },
  'token-revoked': { text: msg('Revoked the token.') },
  'operator-token-revoked': {
    text: msg('Revoked the operator token. Sessions that were started with it have ended.'),
  },
  'bounded-token-ended': { text: msg('Ended the operator token.') },
  approved: { text: msg('Approved. The requester can carry it out once within 24 hours.') },
  'invitation-withdrawn': { text: msg('Withdrew the invitation. Its link no longer works.') },
  'passkey-registered': { text: msg('Registered the passkey. You can sign in with it from now on.') },
  'passkey-removed': { text: msg('Removed the passkey.') },
  'use-acknowledged': { text: msg('Acknowledged. The next use is shown again.') },
  'session-ended': { text: msg('Ended. Its next request has to sign in again.') },
  'personal-values-erased': { text: msg('Erased. The events stay, and the audit log can still be verified.') },
  'key-revoked': { text: msg('Revoked the signing key. Every JWT that it signed is rejected.') },
  rotated: { text: msg('Rotated. The next key now signs tokens, and a new next key is published.') },
} as const satisfies Record<string, Message>;

export type Done = keyof typeof messages;

/**
 * Leaves a message for the next page. It is in a cookie and not in the address, so that a reload or a link does not
 * report an act that did not happen.
 * @param edit the name of the kept edit that can be undone from the message.
 */
export function leaveMessage(ctx: Context, path: string, done: Done, edit = ''): void {
  setCookie(ctx, namesOn(ctx), `${done}.${Buffer.from(path).toString('base64url')}.${edit}`, '; Max-Age=60');
}

/** Renders the message that an act has left for this page, and removes it. */
export function takeMessage(ctx: Context): VNode | undefined {
  const names = namesOn(ctx);
  const name = [names.secure, names.plain].find((each) => ctx.cookies.get(each) !== undefined);
  if (name === undefined) return undefined;
  const [done = '', path = '', edit = ''] = (ctx.cookies.get(name) ?? '').split('.');
  if (Buffer.from(path, 'base64url').toString() !== ctx.path || !Object.hasOwn(messages, done)) return undefined;
  clearCookie(ctx, name);
  const { text, undo }: Message = messages[done as Done];
  return notice(
    'ok',
    html`<p>${t(text)}</p>${undo && (undo.isReviewed ? html`<p><a class="button" href=${`${ctx.path}${undo.path}`}>${t(undo.label)}</a></p>` : postForm(`${ctx.path}${undo.path}`, html`<button>${t(undo.label)}</button>`))}${edit && postForm('/console/undo-edit', html`<input type="hidden" name="edit" value=${edit} /><button>${t('Undo the edit')}</button>`)}`,
  );
}

function namesOn(ctx: Context) {
  return cookieNames(`${siteOf(ctx).cookie}-done`);
}
