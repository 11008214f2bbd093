import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { invalidField, type KeyturnError } from '../../../../errors.ts';
import { readGrant, writeGrant } from '../../../../identity-providers/claim-grants.ts';
import { t } from '../../languages/translate.ts';
import { attempt, type Page, type Reply, type ShownProvider, type Visit } from '../../page.ts';
import { confirmedAct } from '../../parts/confirmed-act.ts';
import { linesIn } from '../../parts/detail-fields.ts';
import { badge, copyable, emptyState, pageHeading, table } from '../../parts/elements.ts';
import { type Entries, entry, readEntries } from '../../parts/entries.ts';
import { formPage } from '../../parts/form-page.ts';
import { checkbox, textArea, textField } from '../../parts/forms.ts';
import { organizationOfForm } from '../../parts/organization-fact.ts';

const start = '/console/identity-providers';
const path = '/identity-providers/:id';
const section = 'identity-providers';
const permission = 'contacts:manage';

/** Pages about where people sign in: list, add, change and delete identity providers. */
export const identityProviderPages: readonly Page[] = [
  {
    method: 'get',
    path: '/identity-providers',
    permission,
    handle: async (visit) => {
      const { body } = await visit.call<{ data: ShownProvider[] }>('GET /identity-providers');
      return {
        title: t('Sign-in'),
        section,
        body: html`${pageHeading({
          title: t('Sign-in'),
          lead: t('Identity providers at which people sign in, and what their groups allow.'),
          actions: html`<a class="button primary" href=${`${start}/new`}>${t('Add identity provider')}</a>`,
        })}
        ${visit.core.config.sso && configured(visit)} ${body.data.length === 0 ? none(visit) : list(body.data)}`,
      };
    },
  },
  {
    method: 'get',
    path: '/identity-providers/new',
    permission,
    asksProof: true,
    handle: async (visit) =>
      showForm(visit, {
        form: new URLSearchParams({
          scope: 'openid profile email',
          claim: 'groups',
          creates_contacts: 'on',
          enabled: 'on',
          organization_id: visit.query['organization_id'] ?? '',
        }),
      }),
  },
  {
    method: 'post',
    path: '/identity-providers/new',
    permission,
    handle: async (visit) => {
      const { form, once } = visit;
      const result = await attempt(async () => {
        const body = { ...readForm(form), organization_id: form.get('organization_id') || undefined };
        return await visit.call<ShownProvider>('POST /identity-providers', { body, once });
      });
      if ('problem' in result) return await showForm(visit, { form, problem: result.problem });
      return { seeOther: `${start}/${result.done.body.id}`, done: 'saved' };
    },
  },
  {
    method: 'get',
    path,
    permission,
    asksProof: true,
    handle: async (visit) => {
      const { body: provider, revision } = await find(visit);
      return await showForm(visit, { form: toForm(provider), provider, revision });
    },
  },
  {
    method: 'post',
    path,
    permission,
    handle: async (visit) => {
      const { form } = visit;
      const { body: provider } = await find(visit);
      const revision = form.get('revision') ?? '';
      const params = { id: provider.id };
      const result = await attempt(async () =>
        visit.call('PATCH /identity-providers/{id}', { params, body: readForm(form), revision }),
      );
      if ('problem' in result) return await showForm(visit, { form, provider, revision, problem: result.problem });
      return { seeOther: `${start}/${provider.id}`, done: 'saved' };
    },
  },
  ...confirmedAct({
    path: `${path}/delete`,
    permission,
    confirm: async (visit) => {
      const { body: provider } = await find(visit);
      return {
        title: t('Delete {name}?', { name: provider.name }),
        section,
        body: html`<ul class="bullets">
          <li>${t('People can no longer sign in there. Those who did are signed out now.')}</li>
          <li>${t('Their contacts, permissions and operator tokens stay.')}</li>
        </ul>`,
        button: t('Delete'),
        name: provider.name,
        back: { path: `${start}/${provider.id}`, label: provider.name },
      };
    },
    act: async (visit) => {
      await visit.call('DELETE /identity-providers/{id}', of(visit));
      return { seeOther: start, done: 'deleted' };
    },
  }),
];

function of({ params }: Visit) {
  return { params: { id: params['id'] } };
}

async function find(visit: Visit) {
  return await visit.call<ShownProvider>('GET /identity-providers/{id}', of(visit));
}

function configured({ core: { config } }: Visit): VNode {
  return html`<p class="hint">${t('{issuer} is configured in the environment (KEYTURN_SSO_ISSUER).', { issuer: config.sso?.issuer ?? '' })}</p>`;
}

function none(visit: Visit): VNode | undefined {
  if (visit.core.config.sso) return undefined;
  return emptyState(
    t('No identity providers'),
    html`<p>${t('People sign in with operator tokens. Add an OpenID Provider, so that they sign in with the account of their company, and lose access when they leave it.')}</p>`,
  );
}

function list(providers: readonly ShownProvider[]): VNode {
  return table({
    caption: t('Identity providers'),
    columns: [{ label: t('Name') }, { label: t('Issuer') }, { label: t('Status') }, { label: t('Permissions by') }],
    rows: providers.map((provider) => [
      html`<a class="strong" href=${`${start}/${provider.id}`}>${provider.name}</a>`,
      provider.issuer,
      badge(provider.status === 'enabled' ? 'ok' : 'bad', t(provider.status)),
      html`<code>${provider.claim}</code>`,
    ]),
  });
}

async function showForm(
  visit: Visit,
  shown: { form: URLSearchParams; provider?: ShownProvider; revision?: string; problem?: KeyturnError },
): Promise<Reply> {
  const { form, provider, revision, problem } = shown;
  const title = provider?.name ?? t('Add identity provider');
  const organization = provider ? null : await organizationOfForm(visit, form);
  return formPage(visit, {
    title,
    section,
    back: { path: start, label: t('Sign-in') },
    problem,
    revision,
    submit: provider ? t('Save') : t('Add'),
    fields: html`${organization} ${fields(readEntries(form, problem), provider)}`,
    above: provider && addresses(visit, provider),
    acts: provider && html` <a class="button danger" href=${`${start}/${provider.id}/delete`}>${t('Delete…')}</a>`,
  });
}

/** Shows what has to be registered at the provider. */
function addresses({ core: { config } }: Visit, { id }: ShownProvider): VNode {
  const base = config.adminUrl ?? '';
  const note = base === '' ? t('Put the URL of this console in front, and set KEYTURN_ADMIN_URL to it.') : '';
  return html`<section class="card" aria-labelledby="register">
    <h2 id="register">${t('Register this at the provider')}</h2>
    ${copyable({ id: 'redirect-uri', label: t('Redirect URI'), value: `${base}/console/sign-in/with/${id}/callback` })}
    ${copyable({ id: 'logout-uri', label: t('Back-channel logout URI'), value: `${base}/back-channel-logout/${id}` })}
    <p class="hint">${note}</p>
  </section>`;
}

function fields(entries: Entries, provider: ShownProvider | undefined): VNode {
  const { form } = entries;
  return html`${textField({ ...entry(entries, 'name'), label: t('Name'), required: true, maxlength: 100, hint: t('For the button “Sign in with …”.') })}
    ${textField({ ...entry(entries, 'issuer'), label: t('Issuer'), required: true, placeholder: 'https://login.example.com' })}
    ${textField({ ...entry(entries, 'client_id'), label: t('Client ID'), required: true })}
    ${textField({
      ...entry(entries, 'client_secret'),
      label: t('Client secret'),
      type: 'password',
      hint: provider?.has_client_secret
        ? t('Leave this empty to keep the current one.')
        : t('Leave this empty for a public client.'),
    })}
    ${textField({ ...entry(entries, 'scope'), label: t('Scopes'), required: true })}
    ${textField({ ...entry(entries, 'claim'), label: t('Claim with groups or roles'), required: true, hint: t('Such as groups, roles or realm_access.roles.') })}
    ${textArea({
      ...entry(entries, 'grants'),
      label: t('Permissions'),
      hint: t(
        'One value of the claim per line, such as admins = all, or auditors = integrations:view, audit:view. * stands for everyone. People without any cannot sign in.',
      ),
    })}
    ${textField({ ...entry(entries, 'acr_values'), label: t('Authentication contexts for a renewed proof'), hint: t('Values of acr, separated by spaces. Leave this empty for any.') })}
    ${textArea({ ...entry(entries, 'email_domains'), label: t('E-mail domains'), rows: 2, hint: t('One per line. People with such an address are sent to this provider.') })}
    ${checkbox({ name: 'creates_contacts', label: t('Create a contact at the first sign-in'), checked: form.has('creates_contacts') })}
    ${checkbox({
      name: 'links_by_email',
      label: t('Match the first sign-in with the contact that has the same verified e-mail address'),
      hint: t('Only if you trust the provider with the addresses of your contacts.'),
      checked: form.has('links_by_email'),
    })}
    ${checkbox({ name: 'enabled', label: t('People can sign in there'), checked: form.has('enabled') })}`;
}

function toForm(provider: ShownProvider): URLSearchParams {
  const flags = {
    creates_contacts: provider.creates_contacts,
    links_by_email: provider.links_by_email,
    enabled: provider.status === 'enabled',
  };
  const set = Object.entries(flags).filter(([, value]) => value);
  return new URLSearchParams({
    name: provider.name,
    issuer: provider.issuer,
    client_id: provider.client_id,
    scope: provider.scope,
    claim: provider.claim,
    grants: provider.grants.map(writeGrant).join('\n'),
    acr_values: provider.acr_values.join(' '),
    email_domains: provider.email_domains.join('\n'),
    ...Object.fromEntries(set.map(([name]) => [name, 'on'])),
  });
}

/** Converts the submitted form to the request body. @throws {InvalidInput} */
function readForm(form: URLSearchParams): Record<string, unknown> {
  const textOf = (name: string) => form.get(name)?.trim() ?? '';
  const secret = textOf('client_secret');
  const grants = linesIn(textOf('grants')).map((line) => {
    const grant = readGrant(line);
    if (grant) return grant;
    const message = `“${line}” is not a value with permissions, such as admins = all`;
    throw invalidField('grants', message);
  });
  return {
    name: textOf('name'),
    issuer: textOf('issuer'),
    client_id: textOf('client_id'),
    ...(secret === '' ? {} : { client_secret: secret }),
    scope: textOf('scope'),
    claim: textOf('claim'),
    grants,
    acr_values: textOf('acr_values').split(/\s+/).filter(Boolean),
    email_domains: linesIn(textOf('email_domains')),
    creates_contacts: form.has('creates_contacts'),
    links_by_email: form.has('links_by_email'),
    status: form.has('enabled') ? 'enabled' : 'disabled',
  };
}
