import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { type Message, msg, t } from '../languages/translate.ts';
import type { ShownSession, Visit } from '../page.ts';
import { badge, fromNow, table } from './elements.ts';
import { postForm } from './forms.ts';

const methodNames: Readonly<Record<ShownSession['method'], Message>> = {
  operator_token: msg('operator token'),
  link: msg('sign-in link'),
  single_sign_on: msg('single sign-on'),
  invitation: msg('invitation'),
  passkey: msg('passkey'),
};

/**
 * Renders sessions, each with a button that ends it.
 * @param at path below which `/{id}/end` ends a session.
 */
export function sessionTable(visit: Visit, at: string, sessions: readonly ShownSession[]): VNode {
  return table({
    caption: t('Sessions'),
    columns: [
      { label: t('Browser') },
      { label: t('Address') },
      { label: t('Signed in') },
      { label: t('Last used') },
      { label: t('Ends if unused') },
      { label: t('End'), holdsActs: true },
    ],
    rows: sessions.map((session) => [
      html`<span>${browserName(session.user_agent)} ${session.id === visit.session && badge('ok', t('this session'))}</span
        ><span class="under">${session.user_agent ?? ''}</span>`,
      session.address === null
        ? html`<span class="muted">${t('unknown')}</span>`
        : html`<code class="whole">${session.address}</code>`,
      html`${fromNow(session.created_at, visit.now)}<span class="under">${t('with {method}', { method: t(methodNames[session.method]) })}</span>`,
      fromNow(session.last_seen_at, visit.now),
      fromNow(session.expires_at, visit.now),
      postForm(`${at}/${session.id}/end`, html`<button class="danger nowrap">${t('End')}</button>`),
    ]),
  });
}

/** Products of user agents, in the order in which they are looked for: most name several others too. */
const browsers = [
  ['Edg/', 'Edge'],
  ['OPR/', 'Opera'],
  ['Firefox/', 'Firefox'],
  ['Chrome/', 'Chrome'],
  ['Safari/', 'Safari'],
] as const;

function browserName(userAgent: string | null): string {
  return browsers.find(([product]) => userAgent?.includes(product))?.[1] ?? t('Unknown browser');
}
