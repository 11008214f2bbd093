import { html } from 'htm/preact';
import type { ComponentChildren, VNode } from 'preact';
import { permissionNames } from '../../../contacts/contact.ts';
import type { KeyturnError } from '../../../errors.ts';
import { errorsOf, labelOf } from './entries.ts';

/** Renders a message at the top of a page. */
export function notice(tone: 'ok' | 'warn' | 'bad' | 'plain', content: ComponentChildren): VNode {
  return html`<div class=${`notice ${tone}`} role=${tone === 'bad' ? 'alert' : 'status'}>${content}</div>`;
}

/**
 * Messages after a redirect, by the address's `done` parameter. Other values show no message, so a link cannot inject
 * text.
 */
const texts = {
  saved: 'Saved.',
  disabled: 'Disabled. Its active tokens were revoked.',
  'server-disabled': 'Disabled. Its requests to Keyturn are rejected. No tokens were revoked.',
  'key-disabled': 'Disabled. Its tokens are inactive while it is disabled.',
  enabled: 'Enabled.',
  deleted: 'Deleted. Its history stays in the audit log.',
  removed: 'Removed.',
  'tokens-revoked': 'Revoked all active tokens. The Client ID and secret did not change.',
  extended: 'The grace period ends later now. The previous value works until then.',
  finished: 'The grace period has ended. The previous value no longer works.',
  undone: 'Rotation undone. The previous value is the current one again, and the new one no longer works.',
  'token-revoked': 'Revoked the token.',
  'operator-token-revoked': 'Revoked the operator token. Sessions that were started with it have ended.',
  'key-revoked': 'Revoked the signing key. Every JWT that it signed is rejected.',
  rotated: 'Rotated. The next key now signs tokens, and a new next key is published.',
} as const;

type Done = keyof typeof texts;

export function doneNotice({ done }: Readonly<Record<string, string>>): VNode | undefined {
  return done !== undefined && Object.hasOwn(texts, done) ? notice('ok', texts[done as Done]) : undefined;
}

/** Renders the explanation that takes the place of a list that the operator may not see. */
export function cannotView(): VNode {
  return notice('plain', `You need the permission “${permissionNames['integrations:view']}” to see this list.`);
}

type Named = { client_id?: string; id?: string; name: string };

/** Renders the reason why a form was rejected, shown together with the form. */
export function problemNotice(problem: KeyturnError): VNode {
  const { clients = [], access_keys: keys = [] } = (problem.extension ?? {}) as {
    clients?: Named[];
    access_keys?: Named[];
  };
  const total = (problem.extension?.['total'] as number | undefined) ?? 0;
  const more = total - clients.length - keys.length;
  const errors = [...errorsOf(problem)];
  return notice(
    'bad',
    html`<p><strong>${errors.length > 0 ? 'Check the marked fields.' : problem.message}</strong> Nothing was changed.</p>
      ${
        errors.length > 0 &&
        html`<ul>
          ${errors.map(([field, message]) => html`<li><a href=${`#field-${field}`}>${`${labelOf(field)}: ${message}`}</a></li>`)}
        </ul>`
      }
      ${
        clients.length + keys.length > 0 &&
        html`<ul>
          ${clients.map((each) => html`<li><a href=${`/console/clients/${each.client_id}`}>${each.name}</a></li>`)}
          ${keys.map((each) => html`<li><a href=${`/console/access-keys/${each.id}`}>${each.name}</a></li>`)}
          ${more > 0 && html`<li>${`and ${more} more`}</li>`}
        </ul>`
      }`,
  );
}
