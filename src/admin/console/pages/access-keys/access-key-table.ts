import { html } from 'htm/preact';
import type { VNode } from 'preact';
import type { Visit } from '../../page.ts';
import { statusBadges } from '../../parts/elements.ts';
import { fromNow, lastUse } from '../../parts/moment.ts';
import { table } from '../../parts/table.ts';
import type { ShownAccessKey } from '../../shown.ts';

/**
 * Renders a table of access keys, one per row.
 * @param of `one contact` omits the contact column, because the page's heading already names the contact.
 */
export function accessKeyTable(
  visit: Visit,
  keys: readonly ShownAccessKey[],
  of: 'all contacts' | 'one contact',
): VNode {
  return table({
    id: 'filtered',
    caption: 'Access keys',
    columns: [
      { label: 'Name' },
      ...(of === 'all contacts' ? [{ label: 'Contact' }] : []),
      { label: 'Status' },
      { label: 'Permissions' },
      { label: 'Used permissions', isNumber: true },
      { label: 'Last used' },
      { label: 'Expires' },
    ],
    rows: keys.map((key) => [
      html`<a class="strong" href=${`/console/access-keys/${key.id}`}>${key.name}</a><code class="under">${key.hint}</code>`,
      ...(of === 'all contacts'
        ? [html`<a href=${`/console/contacts/${key.contact_id}`}>${key.contact_name}</a>`]
        : []),
      statusBadges(key, visit.now),
      permissionsInWords(key.permissions),
      `${key.usage.used} of ${key.usage.granted}`,
      lastUse(key.last_used_at, visit.now),
      key.expires_at ? fromNow(key.expires_at, visit.now) : html`<span class="muted">never</span>`,
    ]),
  });
}

function permissionsInWords(permissions: ShownAccessKey['permissions']): VNode {
  const kinds = Object.entries(permissions);
  if (kinds.length === 0) return html`<span class="muted">none</span>`;
  return html`<ul>${kinds.map(([kind, actions]) => html`<li><strong class="strong">${kind}</strong> ${actions.join(', ')}</li>`)}</ul>`;
}
