import { html } from 'htm/preact';
import type { VNode } from 'preact';
import type { KeyturnError } from '../../../errors.ts';
import { notice } from './notice.ts';

type Named = { client_id?: string; id?: string; name: string };

/** Why a form was refused, beside the form. */
export function problemNotice(problem: KeyturnError): VNode {
  const { clients = [], access_keys: keys = [] } = (problem.extension ?? {}) as {
    clients?: Named[];
    access_keys?: Named[];
  };
  return notice(
    'bad',
    html`<p><strong>${problem.message}</strong> Nothing was changed.</p>
      ${
        clients.length + keys.length > 0 &&
        html`<ul>
          ${clients.map((each) => html`<li><a href=${`/console/clients/${each.client_id}`}>${each.name}</a></li>`)}
          ${keys.map((each) => html`<li><a href=${`/console/access-keys/${each.id}`}>${each.name}</a></li>`)}
        </ul>`
      }`,
  );
}
