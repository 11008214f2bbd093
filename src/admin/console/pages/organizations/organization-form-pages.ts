import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { InvalidInput, type KeyturnError } from '../../../../errors.ts';
import { t } from '../../languages/translate.ts';
import { attempt, type Page, type Reply, type ShownOrganization, type Visit } from '../../page.ts';
import { linesIn, linesOf, pairsOf } from '../../parts/detail-fields.ts';
import { type Entries, entry, readEntries } from '../../parts/entries.ts';
import { formPage } from '../../parts/form-page.ts';
import { checkbox, textArea, textField } from '../../parts/forms.ts';
import { saveEdit } from '../../parts/save-edit.ts';
import { portalFields, readPortalForm, toPortalForm } from './portal-fields.ts';

const route = '/organizations/{id}';
const daySeconds = 86_400;

/** Pages that create or change an organization. */
export const organizationFormPages: readonly Page[] = [
  {
    method: 'get',
    path: '/organizations/new',
    permission: 'contacts:manage',
    handle: async (visit) => showForm(visit, { form: new URLSearchParams({ reveal: 'on' }) }),
  },
  {
    method: 'post',
    path: '/organizations/new',
    permission: 'contacts:manage',
    handle: async (visit) => {
      const { form, once } = visit;
      const result = await attempt(async () =>
        visit.call<ShownOrganization>('POST /organizations', { body: readForm(form, false), once }),
      );
      if ('problem' in result) return showForm(visit, { form, problem: result.problem });
      const mayLook = visit.can('integrations:view');
      return { seeOther: `/console/organizations${mayLook ? `/${result.done.body.id}` : ''}`, done: 'saved' };
    },
  },
  {
    method: 'get',
    path: '/organizations/:id/edit',
    permission: 'contacts:manage',
    asksProof: true,
    handle: async (visit) => {
      const { body: organization, revision } = await findShown(visit);
      return showForm(visit, { form: toForm(organization), organization, revision });
    },
  },
  {
    method: 'post',
    path: '/organizations/:id/edit',
    permission: 'contacts:manage',
    handle: async (visit) => {
      const { form } = visit;
      const { body: organization } = await findShown(visit);
      const revision = form.get('revision') ?? '';
      const params = { id: organization.id };
      const at = `/console/organizations/${organization.id}` as const;
      const result = await attempt(async () => {
        const call = { params, body: readForm(form, organization.is_deployment), revision };
        return await saveEdit(visit, organization, `PATCH ${route}`, call, at);
      });
      if ('problem' in result) return showForm(visit, { form, organization, revision, problem: result.problem });
      return { seeOther: at, done: 'saved', undo: result.done };
    },
  },
];

async function findShown(visit: Visit) {
  return await visit.call<ShownOrganization>(`GET ${route}`, { params: { id: visit.params['id'] } });
}

function showForm(
  visit: Visit,
  shown: { form: URLSearchParams; organization?: ShownOrganization; revision?: string; problem?: KeyturnError },
): Reply {
  const { form, organization, revision, problem } = shown;
  const title = organization ? t('Edit {name}', { name: organization.name }) : t('New organization');
  const back = organization
    ? { path: `/console/organizations/${organization.id}`, label: organization.name }
    : { path: '/console/organizations', label: t('Organizations') };
  const entries = readEntries(form, problem);
  return formPage(visit, {
    title,
    section: 'organizations',
    back,
    problem,
    revision,
    submit: organization ? t('Save') : t('Create'),
    fields: html`${fields(entries)}
      ${!organization?.is_deployment && ceilingFields(entries, organization?.ceiling.reveal ?? true)}
      ${portalFields(entries)}`,
  });
}

function fields(entries: Entries): VNode {
  return html`${textField({ ...entry(entries, 'name'), label: t('Name'), required: true, maxlength: 200 })}
    ${textField({
      ...entry(entries, 'external_id'),
      label: t('External ID'),
      maxlength: 200,
      hint: t('The ID of this organization in your own system, such as a customer number. It must be unique.'),
    })}
    ${textArea({ ...entry(entries, 'labels'), label: t('Labels'), rows: 2, hint: t('One per line, such as tier=gold.') })}`;
}

/** @param wasRevealed whether copies of its secrets may be stored. */
function ceilingFields(entries: Entries, wasRevealed: boolean): VNode {
  const number = { type: 'number', hint: t('Leave this empty for no limit.') };
  return html`<fieldset class="stack">
    <legend>${t('Ceiling')}</legend>
    <p class="hint">${t('What its integrations and access keys may have at most.')}</p>
    ${textField({ ...entry(entries, 'integrations'), label: t('Number of integrations'), ...number })}
    ${textField({ ...entry(entries, 'access_keys'), label: t('Number of enabled access keys'), ...number })}
    ${textField({
      ...entry(entries, 'key_days'),
      label: t('Longest life of an access key in days'),
      type: 'number',
      hint: t('Also the life of keys for which no expiry is chosen. Leave this empty for no limit.'),
    })}
    ${checkbox({ name: 'limits_scopes', label: t('Limit the permissions'), checked: entries.form.has('limits_scopes') })}
    ${textArea({
      ...entry(entries, 'scopes'),
      label: t('Allowed permissions'),
      hint: t(
        'One API per line: its resource identifier, and its scopes after it, such as https://api.example.com orders:read orders:create. APIs that are not listed are not allowed.',
      ),
    })}
    ${checkbox({
      name: 'reveal',
      label: t('Secrets and access keys can be shown again'),
      hint: wasRevealed
        ? t('If you remove this, the encrypted copies of its secrets and access keys are deleted.')
        : undefined,
      checked: entries.form.has('reveal'),
    })}
  </fieldset>`;
}

function toForm(organization: ShownOrganization): URLSearchParams {
  const { name, external_id: externalId, labels, ceiling } = organization;
  const text = (limit: number | null) => (limit === null ? '' : String(limit));
  return new URLSearchParams({
    name,
    external_id: externalId ?? '',
    labels: linesOf(labels, (value) => value),
    integrations: text(ceiling.integrations),
    access_keys: text(ceiling.access_keys),
    key_days: text(ceiling.key_lifetime === null ? null : ceiling.key_lifetime / daySeconds),
    scopes: ceiling.scopes?.map(({ resource, scope }) => `${resource} ${scope}`.trim()).join('\n') ?? '',
    ...(ceiling.scopes === null ? {} : { limits_scopes: 'on' }),
    ...(ceiling.reveal ? { reveal: 'on' } : {}),
    ...toPortalForm(organization),
  });
}

/** Converts the submitted form to the request body of the organization endpoints. @throws {InvalidInput} */
function readForm(form: URLSearchParams, isDeployment: boolean): Record<string, unknown> {
  const own = {
    name: form.get('name')?.trim() ?? '',
    external_id: form.get('external_id')?.trim() || null,
    labels: Object.fromEntries(pairsOf('labels', form.get('labels') ?? '')),
    portal: readPortalForm(form),
  };
  if (isDeployment) return own;
  const days = readNumber(form, 'key_days');
  const ceiling = {
    integrations: readNumber(form, 'integrations'),
    access_keys: readNumber(form, 'access_keys'),
    key_lifetime: days === null ? null : Math.round(days * daySeconds),
    scopes: form.has('limits_scopes') ? readScopes(form.get('scopes') ?? '') : null,
    reveal: form.has('reveal'),
  };
  return { ...own, ceiling };
}

function readNumber(form: URLSearchParams, name: string): number | null {
  const text = form.get(name)?.trim() ?? '';
  if (text === '') return null;
  const number = Number(text);
  if (!Number.isFinite(number)) {
    throw new InvalidInput(`${name}: must be a number.`, [{ path: name, message: t('must be a number') }]);
  }
  return number;
}

function readScopes(text: string): { resource: string; scope: string }[] {
  return linesIn(text).map((line) => {
    const [resource = '', ...scopes] = line.split(/[\s,]+/).filter(Boolean);
    return { resource, scope: scopes.join(' ') };
  });
}
