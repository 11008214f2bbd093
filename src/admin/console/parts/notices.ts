import { html } from 'htm/preact';
import type { ComponentChildren, VNode } from 'preact';
import type { KeyturnError } from '../../../errors.ts';

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
  disabled: 'Disabled. Its live tokens are revoked.',
  'server-disabled': 'Disabled. Its own requests to Keyturn are refused. No token was revoked.',
  'key-disabled': 'Disabled. Its tokens are inactive for as long as it stays so.',
  enabled: 'Enabled.',
  deleted: 'Deleted. Its history stays in the audit log.',
  removed: 'Removed.',
  'tokens-revoked': 'Every live token is dead. The credentials are as they were.',
  finished: 'The overlap has ended. The old one is refused from now on.',
  undone: 'Undone. The old one is current again, and the new one is dead.',
  'token-revoked': 'The token is dead.',
  'operator-token-revoked': 'The operator token is dead, and so are the sessions that were started with it.',
  'key-revoked': 'The signing key is revoked. Every JWT that it signed is refused from now on.',
  rotated: 'The next key signs from now on, and a new next one is published.',
} as const;

type Done = keyof typeof texts;

export function doneNotice({ done }: Readonly<Record<string, string>>): VNode | undefined {
  return done !== undefined && Object.hasOwn(texts, done) ? notice('ok', texts[done as Done]) : undefined;
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
  return notice(
    'bad',
    html`<p><strong>${problem.message}</strong> Nothing was changed.</p>
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
