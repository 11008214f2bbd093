import { html } from 'htm/preact';
import type { VNode } from 'preact';
import type { KeyturnError } from '../../../../errors.ts';
import { type Message, msg, rich, t } from '../../languages/translate.ts';
import { attempt, type Listed, type Page, type Reply, type Section, type ShownClient, type Visit } from '../../page.ts';
import { detailFields, readDetailForm, reviewedDetails } from '../../parts/detail-fields.ts';
import { beginDetour, continueDetour, detourFields, detourQuery } from '../../parts/detour.ts';
import { facts, pageHeading, permissionName } from '../../parts/elements.ts';
import { readEntries } from '../../parts/entries.ts';
import { checkbox, hiddenFields, postForm } from '../../parts/forms.ts';
import { copyHint, madePage, shownHowLong } from '../../parts/made-page.ts';
import { scopesInWords } from '../../parts/named-scopes.ts';
import { problemNotice } from '../../parts/notices.ts';
import { organizationOfForm } from '../../parts/organization-fact.ts';
import { integrationFields, readClientForm, readOffers, resourceServerFields } from './client-form.ts';
import { accessKeyUse, authMethodOf, methodLabel, nounOf, proofFields, readProof } from './client-proof.ts';
import { showCredentials } from './client-secret-pages.ts';
import { declaredScopeList, readDeclaredScopes } from './declared-scope-fields.ts';

type Kind = {
  kind: ShownClient['kind'];
  section: Section;
  path: '/integrations' | '/resource-servers';
  title: Message;
  lead: Message;
};

const integration: Kind = {
  kind: 'integration',
  section: 'integrations',
  path: '/integrations',
  title: msg('Generate Client ID and Secret'),
  lead: msg('For a program that requests access tokens.'),
};

const resourceServer: Kind = {
  kind: 'resource_server',
  section: 'resource-servers',
  path: '/resource-servers',
  title: msg('Register a resource server'),
  lead: msg('For an API that receives access tokens. It checks them at Keyturn with its own Client ID and secret.'),
};

/** Pages that register a client in three steps: a form, a review, and the new credentials. */
const pagesOf = (kind: Kind): Page[] => [
  {
    method: 'get',
    path: `${kind.path}/new`,
    permission: 'api_key:manage',
    asksProof: true,
    handle: (visit) => {
      const { organization_id: organization = '' } = visit.query;
      return showForm(visit, kind, new URLSearchParams({ reveal: 'on', organization_id: organization }));
    },
  },
  {
    method: 'post',
    path: `${kind.path}/new`,
    permission: 'api_key:manage',
    handle: (visit) => {
      visit.form.delete('editing');
      return showForm(visit, kind, beginDetour(visit.form, { reveal: 'on' }));
    },
  },
  {
    method: 'post',
    path: `${kind.path}/review`,
    permission: 'api_key:manage',
    handle: async (visit) => {
      const result = await attempt(async () => visit.rehearse('POST /clients', { body: await bodyOf(visit, kind) }));
      return 'problem' in result
        ? await showForm(visit, kind, visit.form, result.problem)
        : await showReview(visit, kind);
    },
  },
  { method: 'post', path: kind.path, permission: 'api_key:manage', handle: (visit) => generate(visit, kind) },
  madePage<Generated>({ path: kind.path, route: 'POST /clients', permission: 'api_key:manage', show: showGenerated }),
];

export const generatePages: readonly Page[] = [
  ...pagesOf(integration),
  ...pagesOf(resourceServer).map((page): Page => ({ ...page, isForDeployment: true })),
];

type Generated = ShownClient & { client_secret?: string };

async function showForm(visit: Visit, kind: Kind, form: URLSearchParams, problem?: KeyturnError): Promise<Reply> {
  const entries = readEntries(form, problem);
  const fields =
    kind.kind === 'integration'
      ? integrationFields(visit, entries, await readOffers(visit, form.get('organization_id') ?? undefined))
      : resourceServerFields(entries);
  return {
    ...(problem ? { status: problem.status } : {}),
    title: t(kind.title),
    section: kind.section,
    body: html`${pageHeading({
      title: t(kind.title),
      lead: t(kind.lead),
      back: {
        path: `/console${kind.path}`,
        label: kind.kind === 'integration' ? t('Integrations') : t('Resource servers'),
      },
    })}
    ${problem && problemNotice(problem)}
    <form class="card stack narrow" method="post" action=${`/console${kind.path}/review`}>
      ${await organizationOfForm(visit, form)} ${fields} ${detourFields(form)}
      ${
        visit.core.reveal &&
        checkbox({
          name: 'reveal',
          label: t('Store an encrypted copy of the secret'),
          hint: copyHint(),
          checked: form.has('reveal'),
        })
      }
      ${
        kind.kind === 'integration' &&
        html`<details open=${authMethodOf(form) !== 'client_secret_basic'}>
          <summary>${t('Other authentication methods')}</summary>
          ${proofFields(entries)}
        </details>`
      }
      ${detailFields(visit, entries, kind.kind, { canPropose: false })}
      <button class="primary">${t('Review')}</button>
    </form>`,
  };
}

async function showReview(visit: Visit, kind: Kind): Promise<Reply> {
  const { form } = visit;
  const declared = ((await readOffers(visit)) ?? []).flatMap(({ scopes }) => scopes);
  const isKey = nounOf(authMethodOf(form)) !== 'secret';
  const input = readClientForm(kind.kind, form);
  const granted = String(input['scope'] ?? '');
  return {
    title: t('Review'),
    section: kind.section,
    body: html`${pageHeading({ title: t('Review'), lead: t('Nothing has been changed yet.') })}
      <div class="card stack narrow">
        ${facts({
          [t('Name')]: input['name'] as string,
          [t('Permissions')]: kind.kind === 'integration' ? scopesInWords(granted, declared) : undefined,
          [t('Access key')]: accessKeyUse(input['access_key']),
          [t('Authentication')]: kind.kind === 'integration' ? methodLabel(authMethodOf(form)) : undefined,
          [kind.kind === 'integration' ? t('Resource server') : t('Resource identifier')]: input['resource'] as
            | string
            | undefined,
          [t('Kinds of information')]:
            kind.kind === 'resource_server' ? (input['information'] as string[]).join(', ') || t('none') : undefined,
          [t('Named scopes')]:
            kind.kind === 'resource_server' ? declaredScopeList(readDeclaredScopes(form)) : undefined,
          [t('Access token format')]:
            kind.kind === 'resource_server' ? (input['token_format'] === 'jwt' ? 'JWT' : t('Opaque')) : undefined,
          [t('JWT type')]: input['token_typ'] as string | undefined,
          ...reviewedDetails(form),
        })}
        <h2>${t('What will happen')}</h2>
        <ul class="bullets">
          <li>${t('A new Client ID is created. It works immediately.')}</li>
          ${
            isKey
              ? html`<li>${t('No secret is created, because the client authenticates with its own key or certificate.')}</li>`
              : html`<li>${t('A new secret is created and shown on the next page. Pass it on only over a channel that you trust.')}</li>`
          }
          ${
            !isKey &&
            (visit.core.reveal && form.has('reveal')
              ? html`<li>${t('An encrypted copy is stored. Operators with the permission “{permission}” can show the secret again.', { permission: permissionName('api_key:manage') })}</li>`
              : html`<li>${rich('<strong>No copy is stored.</strong> If the secret is lost, it must be regenerated.')}</li>`)
          }
          <li>${t('The audit log records that you did it. Nothing else changes.')}</li>
        </ul>
        <div class="actions">
          ${postForm(
            `/console${kind.path}`,
            html`${hiddenFields(form)}<button class="primary">
                ${isKey ? t('Generate Client ID') : t('Generate Client ID and Secret')}
              </button>`,
          )}
          <form method="post" action=${`/console${kind.path}/new`}>${hiddenFields(form)}<button>${t('Edit')}</button></form>
        </div>
      </div>`,
  };
}

/** @throws {InvalidInput} if the keys or certificate cannot be read. */
async function bodyOf(visit: Visit, { kind }: Kind): Promise<Record<string, unknown>> {
  const { form } = visit;
  const details = await readDetailForm(visit);
  const { organization_id: organization } = Object.fromEntries(form);
  return {
    ...readClientForm(kind, form),
    ...details,
    kind,
    organization_id: organization || undefined,
    reveal: form.has('reveal'),
    ...readProof(form),
  };
}

async function generate(visit: Visit, kind: Kind): Promise<Reply> {
  const { form, once } = visit;
  const result = await attempt(async () =>
    visit.call<Generated>('POST /clients', { body: await bodyOf(visit, kind), once }),
  );
  if ('problem' in result) return await showForm(visit, kind, form, result.problem);
  return { seeOther: `/console${kind.path}/made/${once}${detourQuery(form)}` };
}

async function showGenerated(visit: Visit, client: Generated): Promise<Reply> {
  return showCredentials(visit, {
    title: client.client_secret ? t('Client ID and secret') : t('Client ID'),
    client,
    clientSecret: client.client_secret,
    said: client.client_secret
      ? html`<p><strong>${t('Generated.')}</strong> ${shownHowLong(client.reveal)}</p>`
      : html`<p>${rich('<strong>Generated.</strong> The client authenticates with its own key or certificate.')}</p>`,
    next: continueDetour(visit) ?? (await nextFirstStep(visit, client)),
  });
}

/** Leads from the first API to the first integration, so that nobody has to return to the checklist for it. */
async function nextFirstStep(visit: Visit, { kind }: ShownClient): Promise<VNode | undefined> {
  if (kind !== 'resource_server' || !visit.can('integrations:view')) return undefined;
  const { body } = await visit.call<Listed<ShownClient>>('GET /clients', {
    query: { kind: 'integration', limit: '1' },
  });
  if (body.data.length > 0) return undefined;
  return html`<a class="button primary" href="/console/integrations/new">${t('Generate a Client ID and secret')}</a>`;
}
