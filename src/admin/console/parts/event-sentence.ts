import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { erasedValue } from '../../../audit/personal-values.ts';
import { hiddenActor } from '../../within-reach.ts';
import { type Message, msg, rich, t, translate } from '../languages/translate.ts';
import type { Listed, ShownEvent, Visit } from '../page.ts';
import { shownProvider } from '../site.ts';
import { fromNow } from './elements.ts';

const shownEvents = '5';

/** Renders the latest events about a thing, for operators who may see the audit log. */
export async function historySection(visit: Visit, target: string): Promise<VNode | undefined> {
  if (!visit.can('audit:view')) return undefined;
  const { body } = await visit.call<Listed<ShownEvent>>('GET /audit-events', { query: { target, limit: shownEvents } });
  return html`<section class="card" id="history" aria-labelledby="history-title">
    <div class="card-head">
      <h2 id="history-title">${t('History')}</h2>
      <a href=${`/console/audit?target=${encodeURIComponent(target)}`}>${t('All events')}</a>
    </div>
    ${body.data.length === 0 ? html`<p class="muted">${t('Nothing yet.')}</p>` : eventList(visit, body.data)}
  </section>`;
}

/** Renders events as a list of sentences, each with its time. */
export function eventList(visit: Visit, events: readonly ShownEvent[]): VNode {
  return html`<ul class="lately">
    ${events.map((event) => html`<li>${eventSentence(visit, event)} <span class="muted">${fromNow(event.at, visit.now)}</span></li>`)}
  </ul>`;
}

/** What happened, by the action of an audit event. */
export const sentences: Readonly<Record<string, Message>> = {
  'access_key.create': msg('{actor} created the access key {target}'),
  'access_key.disable': msg('{actor} disabled the access key {target}'),
  'access_key.enable': msg('{actor} enabled the access key {target}'),
  'access_key.regenerate': msg('{actor} generated a new value of the access key {target}'),
  'access_key.hand_over': msg('{actor} created a link that hands over a new value of the access key {target}'),
  'access_key.open_handover': msg('{actor} opened the link with a new value of the access key {target}'),
  'access_key.send_handover_code': msg('{actor} requested a code by e-mail for a new value of the access key {target}'),
  'access_key.reject_handover_code': msg('{actor} entered a wrong code for a new value of the access key {target}'),
  'access_key.withdraw_handover': msg('{actor} withdrew the link with a new value of the access key {target}'),
  'access_key.extend_regeneration': msg('{actor} extended the grace period of the access key {target}'),
  'access_key.mark_moved': msg('{actor} marked a source as moved for the access key {target}'),
  'access_key.unmark_moved': msg('{actor} withdrew the mark of a source of the access key {target}'),
  'access_key.finish_regeneration': msg('{actor} ended the grace period of the access key {target}'),
  'access_key.undo_regeneration': msg('{actor} undid the rotation of the access key {target}'),
  'access_key.end_leaked_secret': msg('{actor} ended the leaked value of the access key {target}'),
  'access_key.remove': msg('{actor} removed the access key {target}'),
  'access_key.reveal': msg('{actor} showed the value of the access key {target}'),
  'access_key.revoke_tokens': msg('{actor} revoked the tokens of the access key {target}'),
  'access_key.update': msg('{actor} changed the access key {target}'),
  'approval.request': msg('{actor} requested approval for {target}'),
  'approval.explain': msg('{actor} gave the reason of a request for {target}'),
  'approval.approve': msg('{actor} approved a request for {target}'),
  'approval.refused': msg('{actor} refused a request for {target}'),
  'approval.withdrawn': msg('{actor} withdrew a request for {target}'),
  'approval.use': msg('{actor} used an approval for {target}'),
  'approval.expire': msg('A request for {target} has expired'),
  'approval.bypass': msg('{actor} acted on {target} without the approval that it needs'),
  'approval.settings': msg('{actor} changed which acts of {target} need approval'),
  'audit.erase': msg('{actor} erased personal values of the contact {target}'),
  'audit.archive': msg('{actor} moved old events of the audit log to a file'),
  'authorization_token.issue': msg('{actor} issued an API authorization token for {target}'),
  'authorization_token.revoke': msg('{actor} revoked the API authorization token of {target}'),
  'policy.set': msg('{actor} set the policy {target}'),
  'policy.remove': msg('{actor} removed the policy {target}'),
  'client.create': msg('{actor} registered {target}'),
  'client.delete': msg('{actor} deleted {target}'),
  'client.disable': msg('{actor} disabled {target}'),
  'client.enable': msg('{actor} enabled {target}'),
  'client.import': msg('{actor} imported {target}'),
  'client.first_use': msg('{actor} verified the imported secret of {target}'),
  'client.regenerate': msg('{actor} rotated the credential of {target}'),
  'client.hand_over': msg('{actor} created a link that hands over a new secret of {target}'),
  'client.open_handover': msg('{actor} opened the link with a new secret of {target}'),
  'client.send_handover_code': msg('{actor} requested a code by e-mail for a new secret of {target}'),
  'client.reject_handover_code': msg('{actor} entered a wrong code for a new secret of {target}'),
  'client.withdraw_handover': msg('{actor} withdrew the link with a new secret of {target}'),
  'client.extend_regeneration': msg('{actor} extended the grace period of {target}'),
  'client.mark_moved': msg('{actor} marked a source as moved for {target}'),
  'client.unmark_moved': msg('{actor} withdrew the mark of a source of {target}'),
  'client.finish_regeneration': msg('{actor} ended the grace period of {target}'),
  'client.undo_regeneration': msg('{actor} undid the rotation of {target}'),
  'client.end_leaked_secret': msg('{actor} ended the leaked secret of {target}'),
  'client.reveal_secret': msg('{actor} showed the secret of {target}'),
  'client.revoke_tokens': msg('{actor} revoked all tokens of {target}'),
  'client.update': msg('{actor} changed {target}'),
  'configuration.apply': msg('{actor} applied the configuration {target}'),
  'console.link': msg('{actor} created a sign-in link for {target}'),
  'console.prove': msg('{actor} confirmed who they are'),
  'console.sign_in': msg('{actor} signed in'),
  'contact.create': msg('{actor} created the contact {target}'),
  'contact.delete': msg('{actor} deleted the contact {target}'),
  'contact.invite': msg('{actor} invited {target}'),
  'contact.withdraw_invitation': msg('{actor} withdrew the invitation of {target}'),
  'contact.register_passkey': msg('{actor} registered a passkey of {target}'),
  'contact.remove_passkey': msg('{actor} removed a passkey of {target}'),
  'contact.end_by_provider': msg('{actor} no longer vouches for {target}, whose access has ended'),
  'contact.link_identity': msg('{actor} matched a person with the contact {target}'),
  'contact.update': msg('{actor} changed the contact {target}'),
  'deployment.after_restore': msg('{actor} revoked all tokens after a restore of the database'),
  'deployment.changes_lost': msg('{actor} repeated limits that the database had lost'),
  'identity_provider.create': msg('{actor} added the identity provider {target}'),
  'identity_provider.delete': msg('{actor} deleted the identity provider {target}'),
  'identity_provider.update': msg('{actor} changed the identity provider {target}'),
  'organization.create': msg('{actor} created the organization {target}'),
  'organization.delete': msg('{actor} deleted the organization {target}'),
  'organization.disable': msg('{actor} disabled the organization {target}'),
  'organization.enable': msg('{actor} enabled the organization {target}'),
  'organization.update': msg('{actor} changed the organization {target}'),
  'operator.refused': msg('{actor} was rejected at {target}'),
  'portal.mail_link': msg('{actor} sends a sign-in link for the portal to {target} by e-mail'),
  'portal.link': msg('{actor} created a link to the portal for {target}'),
  'portal.prove': msg('{actor} confirmed who they are'),
  'portal.sign_in': msg('{actor} signed in to the portal'),
  'request.refused': msg('{actor} was refused a request {request}'),
  'session.end': msg('{actor} ended a session of {target}'),
  'session.end_by_provider': msg('{actor} ended the sessions of {target}'),
  'session.end_all': msg('{actor} ended all sessions of {target}'),
  'secret.show_again': msg('{actor} was shown a secret again, of {target}'),
  'token.end_leaked': msg('{actor} revoked the leaked token {target}'),
  'operator.break_glass_used': msg('{actor} used a break-glass operator token of {target}'),
  'operator.break_glass_acknowledged': msg('{actor} acknowledged the use of a break-glass operator token of {target}'),
  'operator_token.issue_bounded': msg('{actor} issued an operator token with a name for {target}'),
  'operator_token.revoke_bounded': msg('{actor} ended an operator token of {target}'),
  'operator_token.rotate_bounded': msg('{actor} rotated an operator token of {target}'),
  'operator_token.issue': msg('{actor} issued an operator token for {target}'),
  'operator_token.revoke': msg('{actor} revoked the operator token of {target}'),
  'operator_token.end_leaked': msg('{actor} ended the leaked operator token of {target}'),
  'signing_key.rotate': msg('{actor} rotated the signing key {target}'),
  'signing_key.revoke': msg('{actor} revoked the signing key {target}'),
  'root_key.rotate': msg('{actor} rotated the root key'),
  'trust.create': msg('{actor} created a trust of {target}'),
  'trust.update': msg('{actor} changed a trust of {target}'),
  'trust.delete': msg('{actor} deleted a trust of {target}'),
  'webhook.create': msg('{actor} created the webhook {target}'),
  'webhook.update': msg('{actor} changed the webhook {target}'),
  'webhook.enable': msg('{actor} enabled the webhook {target}'),
  'webhook.disable': msg('{actor} disabled the webhook {target}'),
  'webhook.delete': msg('{actor} deleted the webhook {target}'),
  'webhook.rotate_secret': msg('{actor} rotated the signing secret of the webhook {target}'),
  'webhook.finish_rotation': msg('{actor} ended the grace period of the webhook {target}'),
  'webhook.undo_rotation': msg('{actor} undid the rotation of the webhook {target}'),
  'webhook.replay': msg('{actor} delivered events again to the webhook {target}'),
};

/** Renders what happened as a sentence, with links to the thing and to the events of its actor. */
export function eventSentence(visit: Visit, event: ShownEvent): VNode {
  const by = shownValue(event, event.actor_name) || t('An unknown caller');
  const actor =
    event.actor === hiddenActor
      ? html`<span class="strong">${shownProvider(by)}</span>`
      : html`<a href=${`/console/audit?actor=${encodeURIComponent(event.actor)}`}>${by}</a>`;
  // Fall back to the name of the action, which is plain English.
  const sentence = sentences[event.action];
  if (!sentence) return html`<span>${actor}: ${nameOfAction(event.action)} ${target(visit, event)}</span>`;
  return html`<span>${rich(sentence, { actor, target: target(visit, event), request: requestOf(event) })}</span>`;
}

/** Returns a value of an event, or says in the language of the page that it was erased. */
export function shownValue<Value>({ erased }: ShownEvent, value: Value): Value | string {
  return erased && value === erasedValue ? t('erased') : value;
}

/** Returns an action in words, such as `Access key: disable`. */
export function nameOfAction(action: string): string {
  const [noun = '', verb = ''] = action.replaceAll('_', ' ').split('.');
  return `${translate(`${noun.charAt(0).toUpperCase()}${noun.slice(1)}`)}: ${translate(verb)}`;
}

const paths: Readonly<Record<string, string>> = {
  client: 'clients',
  token: 'clients',
  access_key: 'access-keys',
  contact: 'contacts',
  operator_token: 'contacts',
  organization: 'organizations',
  webhook: 'webhooks',
};

/** Renders the request that was refused. */
function requestOf({ after }: ShownEvent): VNode | string {
  return typeof after?.['request'] === 'string' ? html`<code>${after['request']}</code>` : '';
}

function target(visit: Visit, { target: id, target_name: name, target_type: type }: ShownEvent): VNode {
  const path = paths[type];
  if (name !== null && !visit.can('integrations:view')) {
    return html`<a class="strong" href=${`/console/audit?target=${encodeURIComponent(id)}`}>${name}</a>`;
  }
  if (name === null || !path) return html`<code>${id}</code>`;
  return html`<a class="strong" href=${`/console/${path}/${encodeURIComponent(id)}`}>${name}</a>`;
}
