import { html } from 'htm/preact';
import type { VNode } from 'preact';
import type { Listed, ShownEvent, Visit } from '../page.ts';
import { fromNow } from './elements.ts';

const shownEvents = '5';

/** Renders the latest events about a thing, for operators who may see the audit log. */
export async function historySection(visit: Visit, target: string): Promise<VNode | undefined> {
  if (!visit.can('audit:view')) return undefined;
  const { body } = await visit.call<Listed<ShownEvent>>('GET /audit-events', { query: { target, limit: shownEvents } });
  return html`<section class="card" id="history" aria-labelledby="history-title">
    <div class="card-head">
      <h2 id="history-title">History</h2>
      <a href=${`/console/audit?target=${encodeURIComponent(target)}`}>All events</a>
    </div>
    ${body.data.length === 0 ? html`<p class="muted">Nothing yet.</p>` : eventList(visit, body.data)}
  </section>`;
}

/** Renders events as a list of sentences, each with its time. */
export function eventList(visit: Visit, events: readonly ShownEvent[]): VNode {
  return html`<ul class="lately">
    ${events.map((event) => html`<li>${eventSentence(visit, event)} <span class="muted">${fromNow(event.at, visit.now)}</span></li>`)}
  </ul>`;
}

/** Verbs for the actions of audit events. The name of the target follows the verb. */
export const verbs: Readonly<Record<string, string>> = {
  'access_key.create': 'created the access key',
  'access_key.disable': 'disabled the access key',
  'access_key.enable': 'enabled the access key',
  'access_key.regenerate': 'generated a new value of the access key',
  'access_key.extend_regeneration': 'extended the grace period of the access key',
  'access_key.mark_moved': 'marked a source as moved for the access key',
  'access_key.unmark_moved': 'withdrew the mark of a source of the access key',
  'access_key.finish_regeneration': 'ended the grace period of the access key',
  'access_key.undo_regeneration': 'undid the rotation of the access key',
  'access_key.end_leaked_secret': 'ended the leaked value of the access key',
  'access_key.remove': 'removed the access key',
  'access_key.reveal': 'showed the value of the access key',
  'access_key.revoke_tokens': 'revoked the tokens of the access key',
  'access_key.update': 'changed the access key',
  'authorization_token.issue': 'issued an API authorization token for',
  'authorization_token.revoke': 'revoked the API authorization token of',
  'client.create': 'registered',
  'client.delete': 'deleted',
  'client.disable': 'disabled',
  'client.enable': 'enabled',
  'client.import': 'imported',
  'client.first_use': 'verified the imported secret of',
  'client.regenerate': 'rotated the credential of',
  'client.extend_regeneration': 'extended the grace period of',
  'client.mark_moved': 'marked a source as moved for',
  'client.unmark_moved': 'withdrew the mark of a source of',
  'client.finish_regeneration': 'ended the grace period of',
  'client.undo_regeneration': 'undid the rotation of',
  'client.end_leaked_secret': 'ended the leaked secret of',
  'client.reveal_secret': 'showed the secret of',
  'client.revoke_tokens': 'revoked all tokens of',
  'client.update': 'changed',
  'console.link': 'created a sign-in link for',
  'console.prove': 'confirmed who they are',
  'console.sign_in': 'signed in',
  'contact.create': 'created the contact',
  'contact.delete': 'deleted the contact',
  'contact.update': 'changed the contact',
  'deployment.after_restore': 'revoked all tokens after a restore of the database',
  'deployment.changes_lost': 'repeated limits that the database had lost',
  'organization.create': 'created the organization',
  'organization.delete': 'deleted the organization',
  'organization.disable': 'disabled the organization',
  'organization.enable': 'enabled the organization',
  'organization.update': 'changed the organization',
  'operator.refused': 'was rejected at',
  'portal.link': 'created a link to the portal for',
  'portal.prove': 'confirmed who they are',
  'portal.sign_in': 'signed in to the portal',
  'request.refused': 'was refused a request',
  'session.end': 'ended a session of',
  'session.end_all': 'ended all sessions of',
  'secret.show_again': 'was shown a secret again, of',
  'token.end_leaked': 'revoked the leaked token',
  'operator_token.issue': 'issued an operator token for',
  'operator_token.revoke': 'revoked the operator token of',
  'operator_token.end_leaked': 'ended the leaked operator token of',
  'signing_key.rotate': 'rotated the signing key',
  'signing_key.revoke': 'revoked the signing key',
  'root_key.rotate': 'rotated the root key',
};

/** Renders what happened as a sentence, with links to the thing and to the events of its actor. */
export function eventSentence(visit: Visit, event: ShownEvent): VNode {
  const verb = verbs[event.action];
  const actor = html`<a href=${`/console/audit?actor=${encodeURIComponent(event.actor)}`}>${event.actor_name || 'An unknown caller'}</a>`;
  // Fall back to the name of the action, which is plain English.
  if (!verb)
    return html`<span>${actor}: ${event.action.replace('.', ': ').replaceAll('_', ' ')} ${target(visit, event)}</span>`;
  // The target of a sign-in is its actor, so it is not repeated.
  return html`<span>${actor} ${verb} ${event.actor === event.target ? (event.action === 'request.refused' && requestOf(event)) || '' : target(visit, event)}</span>`;
}

const paths: Readonly<Record<string, string>> = {
  client: 'clients',
  token: 'clients',
  access_key: 'access-keys',
  contact: 'contacts',
  operator_token: 'contacts',
  organization: 'organizations',
};

/** Renders the request that was refused. */
function requestOf({ after }: ShownEvent): VNode | undefined {
  return typeof after?.['request'] === 'string' ? html`<code>${after['request']}</code>` : undefined;
}

function target(visit: Visit, { target: id, target_name: name, target_type: type }: ShownEvent): VNode {
  const path = paths[type];
  if (name !== null && !visit.can('integrations:view')) {
    return html`<a class="strong" href=${`/console/audit?target=${encodeURIComponent(id)}`}>${name}</a>`;
  }
  if (name === null || !path) return html`<code>${id}</code>`;
  return html`<a class="strong" href=${`/console/${path}/${encodeURIComponent(id)}`}>${name}</a>`;
}
