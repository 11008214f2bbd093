import type { Notice } from '../notices/notice.ts';
import { deploymentOrganization } from '../storage/organization-limit.ts';

/** An event in the JSON format of CloudEvents 1.0, structured mode. */
export type WebhookEvent = {
  specversion: '1.0';
  /** The id of the notice, the same in every attempt. */
  id: string;
  /** The issuer. */
  source: string;
  /** `dev.keyturn.` and the kind of the notice. */
  type: string;
  /** What it is about, as in the paths of the admin API, such as `clients/kti_…`. */
  subject?: string;
  time: string;
  datacontenttype: 'application/json';
  data: Record<string, unknown>;
};

const typePrefix = 'dev.keyturn.';
export const eventMediaType = 'application/cloudevents+json';

const paths: Readonly<Record<string, string>> = {
  client: 'clients',
  access_key: 'access-keys',
  contact: 'contacts',
  organization: 'organizations',
  signing_key: 'signing-keys',
  webhook: 'webhooks',
};

/**
 * Returns a notice as the event that receivers get. Events for an organization do not name the operator who caused them,
 * who may be one of the deployment.
 * @param issuer the URL of the deployment.
 */
export function toWebhookEvent(
  { id, kind, at, organizationId, subject, data: { by, ...data } }: Notice,
  issuer: string,
  webhook: { organizationId: string },
): WebhookEvent {
  const named = webhook.organizationId === deploymentOrganization && by !== undefined ? { by } : {};
  return {
    specversion: '1.0',
    id,
    source: issuer,
    type: `${typePrefix}${kind}`,
    subject: `${paths[subject.type] ?? subject.type}/${subject.id}`,
    time: at.toISOString(),
    datacontenttype: 'application/json',
    data: { organization_id: organizationId, subject, ...named, ...data },
  };
}

/** Returns an event that tests a receiver. */
export function makeTestEvent(
  id: string,
  issuer: string,
  webhook: { id: string; name: string },
  at: Date,
): WebhookEvent {
  return {
    specversion: '1.0',
    id,
    source: issuer,
    type: `${typePrefix}test`,
    subject: `webhooks/${webhook.id}`,
    time: at.toISOString(),
    datacontenttype: 'application/json',
    data: { subject: { type: 'webhook', id: webhook.id, name: webhook.name } },
  };
}
