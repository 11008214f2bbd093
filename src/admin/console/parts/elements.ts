import { html } from 'htm/preact';
import type { ComponentChildren, VNode } from 'preact';
import { type Permission, permissionNames } from '../../../contacts/contact.ts';
import { fromNow } from './moment.ts';

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
      ${back && html`<p class="back"><a href=${back.path}>${`← ${back.label}`}</a></p>`}
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

/** Renders the status of a client or an access key, and the end of a running grace period. */
export function statusBadges(
  owner: { status: 'enabled' | 'disabled' | 'expired'; retires_at: string | null },
  now: number,
): VNode {
  const tone = owner.status === 'enabled' ? 'ok' : 'bad';
  return html`<span class="badges"
    >${badge(tone, owner.status)}${owner.retires_at && badge('warn', html`grace period ends ${fromNow(owner.retires_at, now)}`)}</span
  >`;
}

/** Renders a permission as its name, with its code in small print. */
export function permissionLabel(permission: Permission): VNode {
  return html`${permissionNames[permission]} <code class="fine">${permission}</code>`;
}

const listOf = new Intl.ListFormat('en');

/** Renders scopes as sentences, such as `Read and create orders`, with their codes in small print. */
export function scopesInWords(scope: string): VNode {
  const kinds = new Map<string, string[]>();
  for (const each of scope.split(' ').filter(Boolean)) {
    const [, kind = each, action = ''] = /^(.+):(create|read|update|delete)$/.exec(each) ?? [];
    kinds.set(kind, [...(kinds.get(kind) ?? []), action]);
  }
  if (kinds.size === 0) return html`<span class="muted">none</span>`;
  return html`<ul>
    ${[...kinds].map(([kind, actions]) => {
      const verbs = listOf.format(actions.filter(Boolean));
      const codes = actions.map((action) => (action ? `${kind}:${action}` : kind)).join(' ');
      return html`<li>${verbs && `${verbs.charAt(0).toUpperCase()}${verbs.slice(1)} ${kind.replaceAll('_', ' ')} `}<code class=${verbs ? 'fine' : undefined}>${codes}</code></li>`;
    })}
  </ul>`;
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
      <button type="button" class="copy" data-copy=${id} aria-label=${`Copy ${label}`} hidden>Copy</button>
    </div>
  </div>`;
}

/** Renders code with a Copy button. */
export function codeBlock({ id, label, code }: { id: string; label: string; code: string }): VNode {
  return html`<div class="code">
    <pre tabindex="0" role="region" aria-label=${label}><code id=${id}>${code}</code></pre>
    <button type="button" class="copy" data-copy=${id} aria-label=${`Copy ${label}`} hidden>Copy</button>
  </div>`;
}
