import { html } from 'htm/preact';
import { permissionNames } from '../../../../contacts/contact.ts';
import type { KeyturnError } from '../../../../errors.ts';
import { attempt, type Page, type Reply, type Section, type ShownClient, type Visit } from '../../page.ts';
import { detailFields, readDetailForm, reviewedDetails } from '../../parts/detail-fields.ts';
import { beginDetour, continueDetour, detourFields, detourQuery } from '../../parts/detour.ts';
import { facts, pageHeading } from '../../parts/elements.ts';
import { readEntries } from '../../parts/entries.ts';
import { checkbox, hiddenFields, postForm } from '../../parts/forms.ts';
import { copyHint, madePage, shownHowLong } from '../../parts/made-page.ts';
import { scopesInWords } from '../../parts/named-scopes.ts';
import { problemNotice } from '../../parts/notices.ts';
import { organizationOfForm } from '../../parts/organization-fact.ts';
import { integrationFields, readClientForm, readOffers, resourceServerFields } from './client-form.ts';
import { authMethodOf, methodLabel, nounOf, proofFields, readProof } from './client-proof.ts';
import { showCredentials } from './client-secret-pages.ts';
import { declaredScopeList, readDeclaredScopes } from './declared-scope-fields.ts';

type Kind = {
  kind: ShownClient['kind'];
  section: Section;
  path: '/integrations' | '/resource-servers';
  title: string;
  lead: string;
};

const integration: Kind = {
  kind: 'integration',
  section: 'integrations',
  path: '/integrations',
  title: 'Generate Client ID and Secret',
  lead: 'For a program that requests access tokens.',
};

const resourceServer: Kind = {
  kind: 'resource_server',
  section: 'resource-servers',
  path: '/resource-servers',
  title: 'Register a resource server',
  lead: 'For an API that receives access tokens. It checks them at Keyturn with its own Client ID and secret.',
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
      ? integrationFields(visit, entries, await readOffers(visit))
      : resourceServerFields(entries);
  return {
    ...(problem ? { status: problem.status } : {}),
    title: kind.title,
    section: kind.section,
    body: html`${pageHeading({
      title: kind.title,
      lead: kind.lead,
      back: { path: `/console${kind.path}`, label: kind.kind === 'integration' ? 'Integrations' : 'Resource servers' },
    })}
    ${problem && problemNotice(problem)}
    <form class="card stack narrow" method="post" action=${`/console${kind.path}/review`}>
      ${await organizationOfForm(visit, form)} ${fields} ${detourFields(form)}
      ${
        visit.core.reveal &&
        checkbox({
          name: 'reveal',
          label: 'Store an encrypted copy of the secret',
          hint: copyHint,
          checked: form.has('reveal'),
        })
      }
      ${
        kind.kind === 'integration' &&
        html`<details open=${authMethodOf(form) !== 'client_secret_basic'}>
          <summary>Other authentication methods</summary>
          ${proofFields(entries)}
        </details>`
      }
      ${detailFields(visit, entries, kind.kind)}
      <button class="primary">Review</button>
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
    title: 'Review',
    section: kind.section,
    body: html`${pageHeading({ title: 'Review', lead: 'Nothing has been changed yet.' })}
      <div class="card stack narrow">
        ${facts({
          Name: input['name'] as string,
          Permissions: kind.kind === 'integration' ? scopesInWords(granted, declared) : undefined,
          'Access key': input['access_key'] as string | undefined,
          Authentication: kind.kind === 'integration' ? methodLabel(authMethodOf(form)) : undefined,
          [kind.kind === 'integration' ? 'Resource server' : 'Resource identifier']: input['resource'] as
            | string
            | undefined,
          'Kinds of information':
            kind.kind === 'resource_server' ? (input['information'] as string[]).join(', ') || 'none' : undefined,
          'Named scopes': kind.kind === 'resource_server' ? declaredScopeList(readDeclaredScopes(form)) : undefined,
          'Access token format':
            kind.kind === 'resource_server' ? (input['token_format'] === 'jwt' ? 'JWT' : 'Opaque') : undefined,
          'JWT type': input['token_typ'] as string | undefined,
          ...reviewedDetails(form),
        })}
        <h2>What will happen</h2>
        <ul class="bullets">
          <li>A new Client ID is created. It works immediately.</li>
          ${
            isKey
              ? html`<li>No secret is created, because the client authenticates with its own key or certificate.</li>`
              : html`<li>A new secret is created and shown on the next page. Pass it on only over a channel that you trust.</li>`
          }
          ${
            !isKey &&
            (visit.core.reveal && form.has('reveal')
              ? html`<li>An encrypted copy is stored. Operators with the permission “${permissionNames['api_key:manage']}” can show the secret again.</li>`
              : html`<li><strong>No copy is stored.</strong> If the secret is lost, it must be regenerated.</li>`)
          }
          <li>The audit log records that you did it. Nothing else changes.</li>
        </ul>
        <div class="actions">
          ${postForm(
            `/console${kind.path}`,
            html`${hiddenFields(form)}<button class="primary">
                ${isKey ? 'Generate Client ID' : 'Generate Client ID and Secret'}
              </button>`,
          )}
          <form method="post" action=${`/console${kind.path}/new`}>${hiddenFields(form)}<button>Edit</button></form>
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

function showGenerated(visit: Visit, client: Generated): Reply {
  return showCredentials(visit, {
    title: client.client_secret ? 'Client ID and secret' : 'Client ID',
    client,
    clientSecret: client.client_secret,
    said: client.client_secret
      ? html`<p><strong>Generated.</strong> ${shownHowLong(client.reveal)}</p>`
      : html`<p><strong>Generated.</strong> The client authenticates with its own key or certificate.</p>`,
    next: continueDetour(visit),
  });
}
