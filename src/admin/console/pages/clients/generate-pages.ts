import { html } from 'htm/preact';
import type { KeyturnError } from '../../../../errors.ts';
import { attempt } from '../../attempt.ts';
import type { Page, Reply, Section, Visit } from '../../page.ts';
import { facts, pageHeading } from '../../parts/elements.ts';
import { checkbox } from '../../parts/fields.ts';
import { hiddenFields, postForm } from '../../parts/forms.ts';
import { madePage, shownHowLong } from '../../parts/made-page.ts';
import { problemNotice } from '../../parts/notices.ts';
import type { ShownClient } from '../../shown.ts';
import { integrationFields, readClientForm, resourceServerFields } from './client-form.ts';
import { authMethodOf, hasProof, proofFields, readProof } from './client-proof.ts';
import { showCredentials } from './client-secret-pages.ts';
import { readOffers } from './read-offers.ts';

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
  lead: 'For a program that asks for access tokens.',
};

const resourceServer: Kind = {
  kind: 'resource_server',
  section: 'resource-servers',
  path: '/resource-servers',
  title: 'Register a resource server',
  lead: 'For an API that gets tokens. It asks Keyturn about them with a Client ID and a secret of its own.',
};

/** Pages that register a client in three steps: a form, a review, and the new credentials. */
export const generatePages: readonly Page[] = [integration, resourceServer].flatMap((kind): Page[] => [
  {
    method: 'get',
    path: `${kind.path}/new`,
    permission: 'api_key:manage',
    asksProof: true,
    handle: (visit) => showForm(visit, kind, new URLSearchParams({ reveal: 'on' })),
  },
  {
    method: 'post',
    path: `${kind.path}/new`,
    permission: 'api_key:manage',
    handle: (visit) => showForm(visit, kind, visit.form),
  },
  {
    method: 'post',
    path: `${kind.path}/review`,
    permission: 'api_key:manage',
    handle: async (visit) => showReview(visit, kind),
  },
  { method: 'post', path: kind.path, permission: 'api_key:manage', handle: (visit) => generate(visit, kind) },
  madePage<Generated>({ path: kind.path, route: 'POST /clients', permission: 'api_key:manage', show: showGenerated }),
]);

type Generated = ShownClient & { client_secret?: string };

async function showForm(visit: Visit, kind: Kind, form: URLSearchParams, problem?: KeyturnError): Promise<Reply> {
  const fields =
    kind.kind === 'integration' ? integrationFields(form, await readOffers(visit)) : resourceServerFields(form);
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
      ${fields}
      ${
        visit.core.reveal &&
        checkbox({
          name: 'reveal',
          label: 'Keep a sealed copy of the secret',
          hint: 'So that it can be looked up again by somebody with api_key:manage. Each look is in the audit log. Without a copy, it is shown once and never again.',
          checked: form.has('reveal'),
        })
      }
      ${kind.kind === 'integration' && proofFields(form)}
      <button class="primary">Review</button>
    </form>`,
  };
}

function showReview(visit: Visit, kind: Kind): Reply {
  const { form } = visit;
  const isKey = hasProof(authMethodOf(form));
  const input = readClientForm(kind.kind, form);
  const granted = String(input['scope'] ?? '');
  return {
    title: 'Review',
    section: kind.section,
    body: html`${pageHeading({ title: 'Review before it is generated', lead: 'Nothing has been done yet.' })}
      <div class="card stack narrow">
        ${facts({
          Name: input['name'] as string,
          'May be granted': kind.kind === 'integration' ? granted || 'nothing yet' : undefined,
          'Access key': input['access_key'] as string | undefined,
          Authenticates: kind.kind === 'integration' ? authMethodOf(form) : undefined,
          Resource: (input['resource'] as string | undefined) ?? undefined,
          'Kinds of information':
            kind.kind === 'resource_server' ? (input['information'] as string[]).join(', ') || 'none yet' : undefined,
          'Access tokens': input['token_format'] as string | undefined,
          'Type of its JWTs': input['token_typ'] as string | undefined,
        })}
        <h2>What happens</h2>
        <ul class="bullets">
          <li>A new Client ID is made, and is good from that moment on.</li>
          ${
            isKey
              ? html`<li>No secret is made: it authenticates with what only it has.</li>`
              : html`<li>A new secret is made and shown to you on the next page. Pass it on over a channel that you trust.</li>`
          }
          ${
            !isKey &&
            (visit.core.reveal && form.has('reveal')
              ? html`<li>A sealed copy is kept, to be looked up again by somebody with api_key:manage.</li>`
              : html`<li><strong>No copy is kept.</strong> Whoever loses the secret needs a new one.</li>`)
          }
          <li>The audit log says that you did it. Nothing that exists is touched.</li>
        </ul>
        <div class="actions">
          ${postForm(
            `/console${kind.path}`,
            html`${hiddenFields(form)}<button class="primary">
                ${isKey ? 'Generate Client ID' : 'Generate Client ID and Secret'}
              </button>`,
          )}
          <form method="post" action=${`/console${kind.path}/new`}>${hiddenFields(form)}<button>Change something</button></form>
        </div>
      </div>`,
  };
}

async function generate(visit: Visit, kind: Kind): Promise<Reply> {
  const { form, once } = visit;
  const result = await attempt(() => {
    const body = {
      ...readClientForm(kind.kind, form),
      kind: kind.kind,
      reveal: form.has('reveal'),
      auth_method: authMethodOf(form),
      ...readProof(authMethodOf(form), form),
    };
    return visit.call<Generated>('POST /clients', { body, once });
  });
  if ('problem' in result) return await showForm(visit, kind, form, result.problem);
  return { seeOther: `/console${kind.path}/made/${once}` };
}

function showGenerated(visit: Visit, client: Generated): Reply {
  return showCredentials(visit, {
    title: client.client_secret ? 'Client ID and secret' : 'Client ID',
    client,
    clientSecret: client.client_secret,
    said: client.client_secret
      ? html`<p><strong>Generated.</strong> ${shownHowLong(client.reveal)}</p>`
      : html`<p><strong>Generated.</strong> It authenticates with what only it has.</p>`,
  });
}
