import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { type Message, msg, t } from '../languages/translate.ts';
import { attempt, type Page, type Reply, type ShownExplanation, type Visit } from '../page.ts';
import { clientPath } from '../parts/client-path.ts';
import { badge, emptyState, pageHeading } from '../parts/elements.ts';
import { postForm, textArea, textField } from '../parts/forms.ts';
import { problemNotice } from '../parts/notices.ts';
import { requirePicked } from '../parts/picker.ts';

const tones = { accepted: 'ok', rejected: 'bad', unknown: 'plain' } as const;
const verdicts = { accepted: msg('accepted'), rejected: msg('rejected'), unknown: msg('unknown') };
const kinds: Record<ShownExplanation['kind'], Message> = {
  access_token: msg('Access token'),
  access_key: msg('Access key'),
  client_secret: msg('Client secret'),
  client: msg('Client'),
  request: msg('Request'),
  unknown: msg('Unknown value'),
};

/** Pages that say why a token, a key, a client or a request is accepted or was rejected. */
export const explainPages: readonly Page[] = [
  {
    method: 'get',
    path: '/explain',
    isForDeployment: true,
    permission: 'integrations:view',
    // Only identifiers may be in a URL. Tokens and secrets are accepted in the form alone.
    handle: async (visit) => {
      const id = visit.query['id'] ?? '';
      return /^(kti_\w+|[\w.:+=@/-]{1,50})$/.test(id) && !/^kt[skao]_/.test(id)
        ? explained(visit, id)
        : show(undefined);
    },
  },
  {
    method: 'post',
    path: '/explain',
    isForDeployment: true,
    permission: 'integrations:view',
    handle: async (visit) => explained(visit, visit.form.get('value') ?? ''),
  },
];

async function explained(visit: Visit, value: string): Promise<Reply> {
  const optional = (name: string) => visit.form.get(name)?.trim() || undefined;
  const body = { value, resource: optional('resource'), client_id: optional('client_id') };
  const result = await attempt(async () => {
    const client = body.client_id
      ? await requirePicked(visit, 'client_id', body.client_id, ['integration'])
      : undefined;
    return await visit.call<ShownExplanation>('POST /explain', { body: { ...body, client_id: client?.id } });
  });
  if ('problem' in result) {
    return { status: result.problem.status, ...show(problemNotice(result.problem), body) };
  }
  return show(answer(result.done.body), body);
}

function show(
  result: VNode | undefined,
  asked: { resource?: string | undefined; client_id?: string | undefined } = {},
) {
  return {
    title: t('Explain'),
    section: 'explain',
    body: html`${pageHeading({
      title: t('Explain'),
      lead: t('Find out why a request was rejected, or what a token allows. The same rules apply as for requests.'),
    })}
    ${result}
    <div class="card">
      ${postForm(
        '/console/explain',
        html`${textArea({
          name: 'value',
          label: t('Token, access key, Client ID or request ID'),
          hint: t(
            'A request ID is in the header X-Request-Id of each answer and in the access log. The value is not stored, not logged and not shown again.',
          ),
          maxlength: 8_192,
        })}
          <details open=${Boolean(asked.resource ?? asked.client_id)}>
            <summary>${t('Options')}</summary>
            ${textField({ name: 'resource', label: t('Resource server that asks (for a token)'), value: asked.resource, placeholder: 'https://api.example.com', maxlength: 2_000 })}
            ${textField({ name: 'client_id', label: t('Integration that uses the key (for an access key)'), value: asked.client_id, 'data-pick': 'integration', maxlength: 300 })}
          </details>
          <p><button class="primary">${t('Explain')}</button></p>`,
      )}
    </div>`,
  } satisfies Reply;
}

function answer({ kind, verdict, findings }: ShownExplanation): VNode {
  if (kind === 'unknown' && findings.length === 0) return emptyState(t('Nothing found'), undefined);
  return html`<section class="card" aria-labelledby="explained" role="status">
    <h2 id="explained">${t(kinds[kind])} ${badge(tones[verdict], t(verdicts[verdict]))}</h2>
    <ul class="findings">
      ${findings.map(
        // Findings are in English, as in the API.
        (found) => html`<li class=${found.verdict}>
          <p lang="en" dir="ltr">${found.text}</p>
          <p class="fine">
            <code>${found.rule}</code>
            ${found.subject && html` · ${subjectLink(found.subject)}`}
            ${found.audit_event_id !== null && found.subject && html` · <a href=${`/console/audit?target=${encodeURIComponent(found.subject.id)}`}>${t('audit event {id}', { id: found.audit_event_id })}</a>`}
          </p>
        </li>`,
      )}
    </ul>
  </section>`;
}

function subjectLink({ type, id, name }: NonNullable<ShownExplanation['findings'][number]['subject']>): VNode {
  const path = type === 'client' ? clientPath(id) : `/console/access-keys/${id}`;
  return html`<a href=${path}>${name}</a>`;
}
