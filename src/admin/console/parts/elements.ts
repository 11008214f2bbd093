import { html } from 'htm/preact';
import type { ComponentChildren, VNode } from 'preact';
import { type Permission, permissionNames } from '../../../contacts/contact.ts';
import { currentLanguage } from '../languages/language.ts';
import { type Message, msg, rich, t, translate } from '../languages/translate.ts';

/** Renders a page's title, lead text, actions and link back. */
export function pageHeading({
  title,
  lead,
  actions,
  back,
}: {
  title: ComponentChildren;
  lead?: ComponentChildren;
  actions?: ComponentChildren;
  back?: { path: string; label: string };
}): VNode {
  return html`<div class="heading">
    <div>
      ${back && html`<p class="back"><a href=${back.path}>${`${currentLanguage().direction === 'rtl' ? '→' : '←'} ${back.label}`}</a></p>`}
      <h1>${title}</h1>
      ${lead && html`<p class="lead">${lead}</p>`}
    </div>
    ${actions && html`<div class="actions">${actions}</div>`}
  </div>`;
}

/** Renders a status as a coloured word. The colour only repeats what the word says. */
export function badge(tone: 'ok' | 'warn' | 'bad' | 'plain', text: ComponentChildren): VNode {
  return html`<span class=${`badge ${tone}`}>${text}</span>`;
}

/**
 * Renders the status of a client or an access key, the end of a running grace period, and that a credential is still
 * used after its end.
 */
export function statusBadges(
  owner: {
    status: 'enabled' | 'disabled' | 'expired';
    retires_at: string | null;
    ended_credential_use: { requests: number; last_at: string } | null;
  },
  now: number,
): VNode {
  const { status, retires_at: retiresAt, ended_credential_use: refused } = owner;
  return html`<span class="badges">${badge(status === 'enabled' ? 'ok' : 'bad', t(statuses[status]))}${
    retiresAt && badge('warn', rich('grace period ends {at}', { at: fromNow(retiresAt, now) }))
  }${
    refused &&
    badge(
      'bad',
      rich('refused {requests, plural, one {# time} other {# times}} with an ended credential, last {at}', {
        requests: refused.requests,
        at: fromNow(refused.last_at, now),
      }),
    )
  }</span>`;
}

const statuses = { enabled: msg('enabled'), disabled: msg('disabled'), expired: msg('expired') };

/** Returns the name of a permission. */
export function permissionName(permission: Permission): string {
  return translate(permissionNames[permission]);
}

/** Renders a permission as its name, with its code in small print. */
export function permissionLabel(permission: Permission): VNode {
  return html`${permissionName(permission)} <code class="fine">${permission}</code>`;
}

/** Shows a text of the admin API in the language of the page, or marks it as English if it has no translation. */
export function apiText(text: string): VNode {
  const translated = translate(text);
  return translated === text ? html`<span lang="en" dir="ltr">${text}</span>` : html`<span>${translated}</span>`;
}

/** Renders a list of names and values. Entries with an undefined value are omitted. */
export function facts(entries: Readonly<Record<string, ComponentChildren>>): VNode {
  return html`<dl class="facts">
    ${Object.entries(entries)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl>`;
}

/** Renders the placeholder of an empty list, with the reason and a next step. */
export function emptyState(title: string, content: ComponentChildren): VNode {
  return html`<div class="empty">
    <h2>${title}</h2>
    ${content}
  </div>`;
}

/** Renders a value with a Copy button. Without a script the button is hidden, and one click selects the value. */
export function copyable({ id, label, value }: { id: string; label: string; value: string }): VNode {
  return html`<div class="copyable">
    <p class="label">${label}</p>
    <div class="value">
      <code id=${id}>${value}</code>
      <button type="button" class="copy" data-copy=${id} data-label=${label} aria-label=${t('Copy {label}', { label })} hidden>${t('Copy')}</button>
    </div>
  </div>`;
}

/** Renders code with a Copy button. */
export function codeBlock({ id, label, code }: { id: string; label: string; code: string }): VNode {
  return html`<div class="code">
    <pre tabindex="0" role="region" aria-label=${label}><code id=${id}>${code}</code></pre>
    <button type="button" class="copy" data-copy=${id} data-label=${label} aria-label=${t('Copy {label}', { label })} hidden>${t('Copy')}</button>
  </div>`;
}

const units = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
] as const;

/** Renders a time relative to now, such as `2 hours ago` or `in 3 days`. Its title is the time itself. */
export function fromNow(at: string, now: number): VNode {
  const ms = Date.parse(at) - now;
  const [unit, length] = units.find(([, each]) => Math.abs(ms) >= each) ?? (['second', 1_000] as const);
  const relative = new Intl.RelativeTimeFormat(currentLanguage().tag, { numeric: 'always' });
  const isNear = Math.abs(ms) < 60_000;
  const near = ms > 0 ? t('within a minute') : t('just now');
  const text = isNear ? near : relative.format(Math.trunc(ms / length), unit);
  return html`<time datetime=${at} title=${exactly(at)}>${text}</time>`;
}

/** Renders a time relative to now, or `never` if it is null. */
export function lastUse(at: string | null, now: number): VNode {
  return at === null ? html`<span class="muted">${t('never')}</span>` : fromNow(at, now);
}

/** Renders a time in UTC, to the minute. A script shows it in the time zone of the viewer, with UTC as its title. */
export function exactMoment(at: string): VNode {
  return html`<time datetime=${at} title=${exactly(at)} data-exact>${exactly(at)}</time>`;
}

/** Returns a length of time in its two largest units, such as `1 hour 1 minute`; rounded up to a minute. */
export function inWords(seconds: number): string {
  const minutes = Math.max(1, Math.ceil(seconds / 60));
  const parts = [
    [Math.floor(minutes / 1_440), 'day'],
    [Math.floor(minutes / 60) % 24, 'hour'],
    [minutes % 60, 'minute'],
  ] as const;
  const shown = parts.filter(([count]) => count > 0).slice(0, 2);
  return shown.map(([count, unit]) => inUnit(count, unit)).join(' ');
}

/** Returns a number of hours or of another unit, such as `2 hours`. */
export function inUnit(count: number, unit: 'day' | 'hour' | 'minute'): string {
  return new Intl.NumberFormat(currentLanguage().tag, { style: 'unit', unit, unitDisplay: 'long' }).format(count);
}

/** Renders the remaining time. A script counts it down in the browser. */
export function timeLeft(until: string, now: number): VNode {
  const seconds = Math.max(0, Math.floor((Date.parse(until) - now) / 1_000));
  return html`<time datetime=${until} title=${exactly(until)} data-ends=${until}>${minutesAndSeconds(seconds)}</time>`;
}

function minutesAndSeconds(seconds: number): string {
  return t('{minutes} min {seconds} s', {
    minutes: Math.floor(seconds / 60),
    seconds: String(seconds % 60).padStart(2, '0'),
  });
}

/** Returns a time in UTC, to the minute. */
export function exactly(at: string): string {
  return `${currentLanguage().moment(new Date(at))} UTC`;
}

/** @property holdsActs whether its cells are buttons or links to acts, which say what they are without a label. */
export type Column = { label: string; isNumber?: boolean; holdsActs?: boolean };

/**
 * Renders a table that becomes a list of cards on narrow screens. Its ARIA roles are explicit, because browsers drop
 * table semantics when CSS changes the `display` of table elements.
 * @param caption describes the table to users of screen readers.
 */
export function table({
  caption,
  columns,
  rows,
  id,
}: {
  caption: string;
  columns: readonly Column[];
  rows: readonly (readonly ComponentChildren[])[];
  id?: string;
}): VNode {
  return html`<table class="table" role="table" id=${id}>
    <caption class="unseen">${caption}</caption>
    <thead role="rowgroup">
      <tr role="row">
        ${columns.map(({ label, isNumber }) => html`<th role="columnheader" scope="col" class=${isNumber && 'number'}>${label}</th>`)}
      </tr>
    </thead>
    <tbody role="rowgroup">
      ${rows.map(
        (row) =>
          html`<tr role="row">
            ${row.map((cell, index) => {
              const { label, isNumber, holdsActs } = columns[index] ?? { label: '' };
              const kind = isNumber ? 'number' : holdsActs && 'acts';
              return html`<td role="cell" data-label=${label} class=${kind}><div>${cell}</div></td>`;
            })}
          </tr>`,
      )}
    </tbody>
  </table>`;
}

/**
 * Renders links that limit a list to one state, and one to all of it.
 * @param list.chosen the state in the address of the page.
 */
export function stateLinks(list: {
  label: string;
  path: string;
  states: Readonly<Record<string, { text: Message }>>;
  chosen: string | undefined;
}): VNode {
  const { label, path, states, chosen = '' } = list;
  const link = (href: string, state: string, text: string) =>
    html`<a href=${href} aria-current=${state === chosen ? 'true' : undefined}>${text}</a> `;
  return html`<nav class="tabs" aria-label=${label}>
    ${link(path, '', t('all'))}
    ${Object.entries(states).map(([state, { text }]) => link(`${path}?state=${state}`, state, t(text)))}
  </nav>`;
}

/**
 * Renders links to the first, previous and next page of a list, with the same filters. Returns null
 * if all items are on one page.
 */
export function pagination(
  path: string,
  query: Readonly<Record<string, string>>,
  {
    next_cursor: next,
    previous_cursor: previous,
  }: { next_cursor: string | null; previous_cursor?: string | undefined },
): VNode | null {
  if (next === null && query['cursor'] === undefined) return null;
  const { cursor: _shown, ...filters } = query;
  const address = (more: Record<string, string>) => {
    const parameters = new URLSearchParams({ ...filters, ...more }).toString();
    return parameters ? `${path}?${parameters}` : path;
  };
  return html`<nav class="pages" aria-label=${t('Pagination')}>
    ${query['cursor'] !== undefined && html`<a class="button" href=${address({})}>${t('First page')}</a>`}
    ${previous !== undefined && html`<a class="button" href=${address({ cursor: previous })} rel="prev">${t('Previous page')}</a>`}
    ${next !== null && html`<a class="button" href=${address({ cursor: next })} rel="next">${t('Next page')}</a>`}
  </nav>`;
}
