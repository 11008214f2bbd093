import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { type Permission, permissions } from '../../../../contacts/contact.ts';
import type { KeyturnError } from '../../../../errors.ts';
import { type Message, msg, t } from '../../languages/translate.ts';
import { attempt, type Listed, type Page, type Reply, type ShownContact, type Visit } from '../../page.ts';
import { confirmedAct } from '../../parts/confirmed-act.ts';
import { permissionLabel } from '../../parts/elements.ts';
import { type Entries, entry, readEntries } from '../../parts/entries.ts';
import { formPage } from '../../parts/form-page.ts';
import { checkbox, textField } from '../../parts/forms.ts';
import { notice } from '../../parts/notices.ts';
import { organizationOfForm } from '../../parts/organization-fact.ts';
import { saveEdit } from '../../parts/save-edit.ts';

/** Pages that create or change a contact. */
export const contactFormPages: readonly Page[] = [
  {
    method: 'get',
    path: '/contacts/new',
    permission: 'contacts:manage',
    asksProof: true,
    handle: async (visit) =>
      showForm(visit, { form: new URLSearchParams({ organization_id: visit.query['organization_id'] ?? '' }) }),
  },
  {
    method: 'post',
    path: '/contacts/new',
    permission: 'contacts:manage',
    handle: async (visit) => {
      const { form } = visit;
      const body = { ...readContactForm(visit, []), organization_id: form.get('organization_id') || undefined };
      const request = { body, once: visit.once };
      const result = await attempt(() => visit.call<ShownContact>('POST /contacts', request));
      if ('problem' in result) return showForm(visit, { form, problem: result.problem });
      const mayLook = visit.can('integrations:view');
      return { seeOther: `/console/contacts${mayLook ? `/${result.done.body.id}` : ''}`, done: 'saved' };
    },
  },
  {
    method: 'get',
    path: '/contacts/:id/edit',
    permission: 'contacts:manage',
    asksProof: true,
    handle: async (visit) => {
      const { body: contact, revision } = await findContact(visit);
      return showForm(visit, { form: toContactForm(contact), contact, revision });
    },
  },
  {
    method: 'post',
    path: '/contacts/:id/edit',
    permission: 'contacts:manage',
    handle: async (visit) => {
      const { form } = visit;
      const { body: contact } = await findContact(visit);
      const revision = form.get('revision') ?? '';
      const params = { id: contact.id };
      const body = readContactForm(visit, contact.permissions);
      const at = `/console/contacts/${contact.id}` as const;
      const call = { params, body, revision };
      const result = await attempt(() => saveEdit(visit, contact, 'PATCH /contacts/{id}', call, at));
      if ('problem' in result) return showForm(visit, { form, contact, revision, problem: result.problem });
      return { seeOther: at, done: 'saved', undo: result.done };
    },
  },
];

export async function findContact(visit: Visit) {
  return await visit.call<ShownContact>('GET /contacts/{id}', { params: { id: visit.params['id'] } });
}

async function showForm(
  visit: Visit,
  shown: { form: URLSearchParams; contact?: ShownContact; revision?: string; problem?: KeyturnError },
): Promise<Reply> {
  const { form, contact, revision, problem } = shown;
  const title = contact ? t('Edit {name}', { name: contact.name }) : t('New contact');
  const back = contact
    ? { path: `/console/contacts/${contact.id}`, label: contact.name }
    : { path: '/console/contacts', label: t('Contacts') };
  const organization = contact ? null : await organizationOfForm(visit, form);
  return formPage(visit, {
    title,
    section: 'contacts',
    back,
    problem,
    revision,
    submit: contact ? t('Save') : t('Create'),
    fields: html`${organization} ${contactFields(visit, readEntries(form, problem), contact?.permissions ?? [])}`,
    above:
      contact?.id === visit.operator.id &&
      notice('warn', t('This is your own contact. If you change its permissions, you must sign in again.')),
  });
}

const meanings: Readonly<Record<Permission, Message>> = {
  'integrations:view': msg('See integrations, access keys, contacts and their usage.'),
  'integrations:edit': msg(
    'Change, disable and enable integrations and access keys. Create and regenerate access keys.',
  ),
  'api_key:manage': msg('Generate, show, regenerate and delete credentials. Issue and revoke tokens.'),
  'contacts:manage': msg('Manage contacts, their permissions and operator tokens.'),
  'audit:view': msg('See the audit log and verify it.'),
};

/** The permissions that people grant in the portal. */
const portalPermissions: readonly Permission[] = ['integrations:edit', 'api_key:manage'];

/** Returns the permissions that a form offers: in the portal two, and those that the contact has already. */
function offeredPermissions({ site }: Visit, held: readonly Permission[]): readonly Permission[] {
  if (site.name === 'console') return permissions;
  return permissions.filter((each) => portalPermissions.includes(each) || held.includes(each));
}

/**
 * Renders the form fields of a contact. Operators can grant or withdraw only the permissions that they have themselves.
 */
function contactFields(visit: Visit, entries: Entries, held: readonly Permission[]): VNode {
  const granted = entries.form.getAll('permissions');
  const { error } = entry(entries, 'permissions');
  return html`${textField({ ...entry(entries, 'name'), label: t('Name'), required: true, maxlength: 200 })}
    ${textField({ ...entry(entries, 'email'), label: t('E-mail address'), type: 'email', required: true, maxlength: 254 })}
    ${textField({
      ...entry(entries, 'external_id'),
      label: t('External ID'),
      maxlength: 200,
      hint: t('The ID of this contact in your own system, such as a customer number. It must be unique.'),
    })}
    <fieldset class="checks" id="field-permissions">
      <legend>${t('Operator permissions')}</legend>
      ${error && html`<p class="error">${error}</p>`}
      <p class="hint">${t('A contact that only uses access keys needs no permissions. You can grant and withdraw only permissions that you have yourself.')}</p>
      ${offeredPermissions(visit, held).map((permission) => {
        const isGranted = granted.includes(permission);
        const mayChange = visit.can(permission);
        return html`${checkbox({
          name: 'permissions',
          value: permission,
          label: permissionLabel(permission),
          hint: t(meanings[permission]),
          checked: isGranted,
          disabled: !mayChange,
        })}
        ${isGranted && !mayChange && html`<input type="hidden" name="permissions" value=${permission} />`}`;
      })}
    </fieldset>`;
}

/** Converts the submitted form to the request body of the contact endpoints. */
function readContactForm(visit: Visit, held: readonly Permission[]): Record<string, unknown> {
  const { form } = visit;
  return {
    name: form.get('name')?.trim() ?? '',
    email: form.get('email')?.trim() ?? '',
    external_id: form.get('external_id')?.trim() || null,
    permissions: readPermissions(visit, held),
  };
}

/** In the portal, the permissions to change things include that to see them, because their pages require it. */
function readPermissions(visit: Visit, held: readonly Permission[]): string[] {
  const given = visit.form.getAll('permissions');
  if (visit.site.name === 'console') return given;
  const offered = given.filter((each) => offeredPermissions(visit, held).some((permission) => permission === each));
  const needsView = offered.some((each) => portalPermissions.some((permission) => permission === each));
  const includes = needsView && visit.can('integrations:view') && !offered.includes('integrations:view');
  return includes ? ['integrations:view', ...offered] : offered;
}

/** Converts an existing contact to the values of its form. */
function toContactForm(contact: ShownContact): URLSearchParams {
  const form = new URLSearchParams({
    name: contact.name,
    email: contact.email,
    external_id: contact.external_id ?? '',
  });
  for (const permission of contact.permissions) form.append('permissions', permission);
  return form;
}

const path = '/contacts/:id';
/** Pages that delete a contact. */
export const contactActPages: readonly Page[] = [
  ...confirmedAct({
    path: `${path}/delete`,
    permission: 'contacts:manage',
    confirm: async (visit) => {
      const { body: contact } = await findContact(visit);
      return {
        title: t('Delete {name}?', { name: contact.name }),
        section: 'contacts',
        body: html`<ul class="bullets">
          <li>${await ownedThings(visit, contact)}</li>
          <li>${t('Its history stays in the audit log.')}</li>
          <li>${t('This cannot be undone.')}</li>
        </ul>`,
        button: t('Delete'),
        name: contact.name,
        back: backTo(contact),
      };
    },
    act: async (visit) => {
      await visit.call('DELETE /contacts/{id}', of(visit));
      return { seeOther: '/console/contacts', done: 'deleted' };
    },
  }),
];

/** Says what is deleted with a contact, and what has to be disabled first. */
async function ownedThings(visit: Visit, contact: ShownContact): Promise<string> {
  const hasToken = contact.operator_token_hint !== null;
  if (!visit.can('integrations:view')) {
    return hasToken
      ? t(
          'The contact, its operator token and its access keys are deleted. Its access keys must be disabled or expired.',
        )
      : t('The contact and its access keys are deleted. Its access keys must be disabled or expired.');
  }
  const count = async (status?: string) => {
    const query = { count: 'true', limit: '1', status };
    const { body } = await visit.call<Listed<unknown>>('GET /contacts/{id}/access-keys', { ...of(visit), query });
    return body.total?.count ?? 0;
  };
  const [all, enabled] = [await count(), await count('enabled')];
  const what = hasToken
    ? t(
        'The contact and its operator token are deleted{all, plural, =0 {} one {, with # access key} other {, with # access keys}}.',
        { all },
      )
    : t('The contact is deleted{all, plural, =0 {} one {, with # access key} other {, with # access keys}}.', { all });
  const first = t(
    '{enabled, plural, one {# access key is still enabled, and must be disabled first.} other {# access keys are still enabled, and must be disabled first.}}',
    { enabled },
  );
  return enabled > 0 ? `${what} ${first}` : what;
}

export function of({ params }: Visit) {
  return { params: { id: params['id'] } };
}

export function backTo({ id, name }: ShownContact) {
  return { path: `/console/contacts/${id}`, label: name };
}
