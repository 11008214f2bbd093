import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { deploymentOrganization } from '../../../storage/organization-limit.ts';
import { linkTo, rich, t } from '../languages/translate.ts';
import { type ShownOrganization, unlessMissing, type Visit } from '../page.ts';
import { badge } from './elements.ts';

/** Names and values for `facts`. */
export type Facts = Readonly<Record<string, VNode | string>>;

/** Returns the organization of a client or contact as a fact, or none if that is the deployment itself. */
export async function organizationFact(
  visit: Visit,
  { organization_id: id }: { organization_id: string },
): Promise<Facts> {
  const organization = await findOrganizationOf(visit, id);
  if (!organization) return {};
  const isDisabled = organization.status === 'disabled';
  return {
    [t('Organization')]:
      html`<a href=${`/console/organizations/${id}`}>${organization.name}</a> ${isDisabled && badge('bad', t('disabled'))}`,
  };
}

/** Renders the organization for which a form was opened, with a field that keeps it. Null for that of the deployment. */
export async function organizationOfForm(visit: Visit, form: URLSearchParams): Promise<VNode | null> {
  const organization = await findOrganizationOf(visit, form.get('organization_id') ?? undefined);
  if (!organization) return null;
  return html`<p>${rich('For the organization <a>{name}</a>.', { name: organization.name, a: linkTo(`/console/organizations/${organization.id}`) })}</p>
    <input type="hidden" name="organization_id" value=${organization.id} />`;
}

/** Returns an organization, or undefined if it is that of the deployment, is missing, or must not be seen. */
async function findOrganizationOf(visit: Visit, id: string | undefined): Promise<ShownOrganization | undefined> {
  if (!id || id === deploymentOrganization || !visit.can('integrations:view')) return undefined;
  return (await unlessMissing(visit.call<ShownOrganization>('GET /organizations/{id}', { params: { id } })))?.body;
}
