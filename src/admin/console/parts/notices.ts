import { html } from 'htm/preact';
import type { ComponentChildren, VNode } from 'preact';
import type { KeyturnError } from '../../../errors.ts';
import { currentLanguage } from '../languages/language.ts';
import { linkTo, rich, t, translate } from '../languages/translate.ts';
import { clientPath } from './client-path.ts';
import { permissionName } from './elements.ts';
import { errorsOf, labelOf } from './entries.ts';

/** Renders a message at the top of a page. */
export function notice(tone: 'ok' | 'warn' | 'bad' | 'plain', content: ComponentChildren): VNode {
  return html`<div class=${`notice ${tone}`} role=${tone === 'bad' ? 'alert' : 'status'}>${content}</div>`;
}

/** Renders the explanation that takes the place of a list that the operator may not see. */
export function cannotView(): VNode {
  return notice(
    'plain',
    t('You need the permission “{permission}” to see this list.', { permission: permissionName('integrations:view') }),
  );
}

type Named = { client_id?: string; id?: string; name: string; last_used_at?: string };

/** Renders the reason why a form was rejected, shown together with the form. */
export function problemNotice(problem: KeyturnError): VNode {
  const { clients = [], access_keys: keys = [] } = (problem.extension ?? {}) as {
    clients?: Named[];
    access_keys?: Named[];
  };
  const approval = problem.extension?.['approval'] as { id: string } | undefined;
  const total = (problem.extension?.['total'] as number | undefined) ?? 0;
  const more = total - clients.length - keys.length;
  const errors = [...errorsOf(problem)];
  return notice(
    'bad',
    html`<p><strong>${errors.length > 0 ? t('Check the marked fields.') : translate(problem.message)}</strong> ${t('Nothing was changed.')}</p>
      ${approval && html`<p><a href=${`/console/approvals/${approval.id}`}>${t('Open the request for approval')}</a></p>`}
      ${
        errors.length > 0 &&
        html`<ul>
          ${errors.map(([field, message]) => html`<li><a href=${`#field-${field}`}>${`${labelOf(field)}: ${message}`}</a></li>`)}
        </ul>`
      }
      ${
        clients.length + keys.length > 0 &&
        html`<ul>
          ${clients.map((each) => html`<li>${usedClient(each)}</li>`)}
          ${keys.map((each) => html`<li><a href=${`/console/access-keys/${each.id}`}>${each.name}</a></li>`)}
          ${more > 0 && html`<li>${t('and {count, number} more', { count: more })}</li>`}
        </ul>`
      }`,
  );
}

function usedClient({ client_id: id, name, last_used_at: at }: Named): ComponentChildren {
  const a = linkTo(clientPath(id));
  if (!at) return a(name);
  return rich('<a>{name}</a>, last token with it on {date}', { a, name, date: currentLanguage().day(new Date(at)) });
}
