import { html } from 'htm/preact';
import type { VNode } from 'preact';
import type { ShownSession, Visit } from '../page.ts';
import { badge, fromNow, table } from './elements.ts';
import { postForm } from './forms.ts';

const methodNames: Readonly<Record<ShownSession['method'], string>> = {
  operator_token: 'operator token',
  link: 'sign-in link',
};

/**
 * Renders sessions, each with a button that ends it.
 * @param at path below which `/{id}/end` ends a session.
 */
export function sessionTable(visit: Visit, at: string, sessions: readonly ShownSession[]): VNode {
  return table({
    caption: 'Sessions',
    columns: [
      { label: 'Browser' },
      { label: 'Address' },
      { label: 'Signed in' },
      { label: 'Last used' },
      { label: 'Ends if unused' },
      { label: 'End' },
    ],
    rows: sessions.map((session) => [
      html`<span>${browserName(session.user_agent)} ${session.id === visit.session && badge('ok', 'this session')}</span
        ><span class="under">${session.user_agent ?? ''}</span>`,
      session.address === null ? html`<span class="muted">unknown</span>` : html`<code>${session.address}</code>`,
      html`${fromNow(session.created_at, visit.now)}<span class="under">with ${methodNames[session.method]}</span>`,
      fromNow(session.last_seen_at, visit.now),
      fromNow(session.expires_at, visit.now),
      postForm(`${at}/${session.id}/end`, html`<button class="danger">End</button>`),
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
  return browsers.find(([product]) => userAgent?.includes(product))?.[1] ?? 'Unknown browser';
}
