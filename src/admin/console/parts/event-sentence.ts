import { html } from 'htm/preact';
import type { VNode } from 'preact';
import type { ShownEvent, Visit } from '../page.ts';

/** Renders a link to the history of a thing, for operators who may see the audit log. */
export function historyLink(visit: Visit, id: string): VNode | false {
  return (
    visit.can('audit:view') &&
    html`<a class="button" href=${`/console/audit?target=${encodeURIComponent(id)}`}>History</a>`
  );
}

/** Verbs for the actions of audit events. The name of the target follows the verb. */
const verbs: Readonly<Record<string, string>> = {
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
  'organization.create': 'created the organization',
  'organization.delete': 'deleted the organization',
  'organization.disable': 'disabled the organization',
  'organization.enable': 'enabled the organization',
  'organization.update': 'changed the organization',
  'operator.refused': 'was rejected at',
  'operator_token.issue': 'issued an operator token for',
  'operator_token.revoke': 'revoked the operator token of',
  'operator_token.end_leaked': 'ended the leaked operator token of',
  'signing_key.rotate': 'rotated the signing key',
  'signing_key.revoke': 'revoked the signing key',
  'root_key.rotate': 'rotated the root key',
};

/** Renders what happened as a sentence, with links to the thing and to the events of its actor. */
export function eventSentence(event: ShownEvent): VNode {
  const verb = verbs[event.action];
  const actor = html`<a href=${`/console/audit?actor=${encodeURIComponent(event.actor)}`}>${event.actor_name || 'An unknown caller'}</a>`;
  // Fall back to the name of the action, which is plain English.
  if (!verb)
    return html`<span>${actor}: ${event.action.replace('.', ': ').replaceAll('_', ' ')} ${target(event)}</span>`;
  // The target of a sign-in is its actor, so it is not repeated.
  return html`<span>${actor} ${verb} ${event.actor === event.target ? '' : target(event)}</span>`;
}

const paths: Readonly<Record<string, string>> = {
  client: 'clients',
  token: 'clients',
  access_key: 'access-keys',
  contact: 'contacts',
  operator_token: 'contacts',
  organization: 'organizations',
};

function target({ target: id, target_name: name, target_type: type }: ShownEvent): VNode {
  const path = paths[type];
  if (name === null || !path) return html`<code>${id}</code>`;
  return html`<a class="strong" href=${`/console/${path}/${encodeURIComponent(id)}`}>${name}</a>`;
}
