import type { Queryable, Row } from '../storage/database.ts';
import { deploymentOrganization } from '../storage/organization-limit.ts';
import { isUuid } from '../text/is-uuid.ts';
import type { NoticeSubject } from './notice.ts';

/** A thing as changes name it: a client by any of its Client IDs or its internal id, everything else by its id. */
export type ThingRef = { type: NoticeSubject['type']; id: string };

/** What notices say about a thing. */
export type NamedThing = {
  thing: string;
  organizationId: string;
  subject: NoticeSubject;
  /** The name of the contact of an access key. */
  contactName: string | undefined;
  isEnabled: boolean;
};

type ThingRow = Row & {
  type: NoticeSubject['type'];
  ref: string;
  internal: string;
  shown: string;
  name: string;
  organization: string;
  contact_name: string | null;
  enabled: boolean;
};

/** Names things, in one statement. The result is undefined for those that do not exist. */
export async function nameThings(
  database: Queryable,
  refs: readonly ThingRef[],
): Promise<(ref: ThingRef) => NamedThing | undefined> {
  const idsOf = (type: NoticeSubject['type']) =>
    refs.filter((ref) => ref.type === type && (type === 'client' || isUuid(ref.id))).map(({ id }) => id);
  const rows = await database.query<ThingRow>(
    `SELECT 'client' AS type, i.ref, c.id::text AS internal, c.client_id AS shown, c.name, c.organization, NULL AS contact_name, c.enabled
     FROM (SELECT client_id AS ref, client FROM client_ids WHERE client_id = ANY ($1::text[])
           UNION ALL SELECT id::text, id FROM clients WHERE id::text = ANY ($1::text[])) i JOIN clients c ON c.id = i.client
     UNION ALL SELECT 'access_key', k.id::text, k.id::text, k.id::text, k.name, o.organization, o.name, k.enabled
     FROM access_keys k JOIN contacts o ON o.id = k.contact WHERE k.id = ANY ($2::uuid[])
     UNION ALL SELECT 'contact', id::text, id::text, id::text, name, organization, NULL, true FROM contacts WHERE id = ANY ($3::uuid[])
     UNION ALL SELECT 'organization', id::text, id::text, id::text, name, id, NULL, enabled
     FROM organizations WHERE id = ANY ($4::uuid[])
     UNION ALL SELECT 'webhook', id::text, id::text, id::text, name, organization, NULL, enabled
     FROM webhooks WHERE id = ANY ($5::uuid[])`,
    [idsOf('client'), idsOf('access_key'), idsOf('contact'), idsOf('organization'), idsOf('webhook')],
  );
  const found = new Map(rows.map((row) => [`${row.type}:${row.ref}`, toThing(row)]));
  return ({ type, id }) => {
    if (type === 'signing_key') return ofDeployment(type, id, 'Signing key');
    if (type === 'deleted_contact') return ofDeployment(type, id, 'Deleted contact');
    if (type === 'root_key') return ofDeployment(type, id, 'Root key');
    return found.get(`${type}:${id}`);
  };
}

function toThing({
  type,
  internal,
  shown,
  name,
  organization,
  contact_name: contactName,
  enabled,
}: ThingRow): NamedThing {
  return {
    thing: `${type}:${internal}`,
    organizationId: organization,
    subject: { type, id: shown, name },
    contactName: contactName ?? undefined,
    isEnabled: enabled,
  };
}

function ofDeployment(type: 'signing_key' | 'deleted_contact' | 'root_key', id: string, name: string): NamedThing {
  const subject = { type, id, name };
  return { thing: type, organizationId: deploymentOrganization, subject, contactName: undefined, isEnabled: true };
}
