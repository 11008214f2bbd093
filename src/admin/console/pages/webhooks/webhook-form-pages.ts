import { html } from 'htm/preact';
import type { VNode } from 'preact';
import type { KeyturnError } from '../../../../errors.ts';
import { noticeKinds } from '../../../../notices/notice.ts';
import { rich, t } from '../../languages/translate.ts';
import { attempt, type CreatedWebhook, type Page, type Reply, type ShownWebhook, type Visit } from '../../page.ts';
import { copyable, exactMoment, inWords, pageHeading } from '../../parts/elements.ts';
import { type Entries, entry, readEntries } from '../../parts/entries.ts';
import { formPage } from '../../parts/form-page.ts';
import { checkbox, choices, postForm, selectField, textField } from '../../parts/forms.ts';
import { madePage } from '../../parts/made-page.ts';
import { notice } from '../../parts/notices.ts';
import { nameOfKind } from './webhook-pages.ts';

const section = 'webhooks';
const permission = 'api_key:manage';

/** Pages that create or change a webhook, or rotate its signing secret. */
export const webhookFormPages: readonly Page[] = [
  {
    method: 'get',
    path: '/webhooks/new',
    permission,
    asksProof: true,
    handle: async (visit) => showForm(visit, { form: new URLSearchParams({ receives: 'all' }) }),
  },
  {
    method: 'post',
    path: '/webhooks/new',
    permission,
    handle: async (visit) => {
      const { form, once } = visit;
      const result = await attempt(() => visit.call('POST /webhooks', { body: readForm(form), once }));
      if ('problem' in result) return showForm(visit, { form, problem: result.problem });
      return { seeOther: `/console/webhooks/new/made/${once}` };
    },
  },
  madePage<CreatedWebhook>({
    path: '/webhooks/new',
    route: 'POST /webhooks',
    permission,
    show: (_visit, created) => showSecret(created, t('Webhook created')),
  }),
  {
    method: 'get',
    path: '/webhooks/:id/edit',
    permission,
    asksProof: true,
    handle: async (visit) => {
      const { body: webhook, revision } = await find(visit);
      const form = new URLSearchParams({
        name: webhook.name,
        url: webhook.url,
        receives: webhook.kinds ? 'some' : 'all',
        ...Object.fromEntries((webhook.kinds ?? []).map((kind) => [`kind_${kind}`, 'on'])),
      });
      return showForm(visit, { form, webhook, revision });
    },
  },
  {
    method: 'post',
    path: '/webhooks/:id/edit',
    permission,
    handle: async (visit) => {
      const { form } = visit;
      const { body: webhook } = await find(visit);
      const revision = form.get('revision') ?? '';
      const params = { id: webhook.id };
      const result = await attempt(() =>
        visit.call('PATCH /webhooks/{id}', { params, body: readForm(form), revision }),
      );
      if ('problem' in result) return showForm(visit, { form, webhook, revision, problem: result.problem });
      return { seeOther: `/console/webhooks/${webhook.id}`, done: 'saved' };
    },
  },
  {
    method: 'get',
    path: '/webhooks/:id/rotate',
    permission,
    asksProof: true,
    handle: async (visit) => showRotate((await find(visit)).body, visit.path),
  },
  {
    method: 'post',
    path: '/webhooks/:id/rotate',
    permission,
    handle: async (visit) => {
      const params = { id: visit.params['id'] };
      const body = { overlap_seconds: Number(visit.form.get('overlap_seconds')) };
      await visit.call('POST /webhooks/{id}/rotate', { params, body, once: visit.once });
      return { seeOther: `/console/webhooks/${params.id}/rotate/made/${visit.once}` };
    },
  },
  madePage<CreatedWebhook>({
    path: '/webhooks/:id/rotate',
    route: 'POST /webhooks/{id}/rotate',
    permission,
    params: ({ params }) => ({ id: params['id'] }),
    show: (_visit, rotated) => showSecret(rotated, t('New signing secret')),
  }),
];

async function find(visit: Visit) {
  return await visit.call<ShownWebhook>('GET /webhooks/{id}', { params: { id: visit.params['id'] } });
}

function readForm(form: URLSearchParams): Record<string, unknown> {
  const chosen = Object.keys(noticeKinds).filter((kind) => form.has(`kind_${kind}`));
  return {
    name: form.get('name'),
    url: form.get('url')?.trim(),
    kinds: form.get('receives') === 'some' ? chosen : null,
  };
}

function showForm(
  visit: Visit,
  shown: { form: URLSearchParams; webhook?: ShownWebhook; revision?: string; problem?: KeyturnError },
): Reply {
  const { form, webhook, revision, problem } = shown;
  const title = webhook ? t('Edit {name}', { name: webhook.name }) : t('New webhook');
  const back = webhook
    ? { path: `/console/webhooks/${webhook.id}`, label: webhook.name }
    : { path: '/console/webhooks', label: t('Webhooks') };
  return formPage(visit, {
    title,
    section,
    back,
    problem,
    revision,
    submit: webhook ? t('Save') : t('Create'),
    fields: fields(readEntries(form, problem)),
  });
}

function fields(entries: Entries): VNode {
  const { form } = entries;
  return html`${textField({ ...entry(entries, 'name'), label: t('Name'), required: true, maxlength: 200 })}
    ${textField({
      ...entry(entries, 'url'),
      label: t('URL'),
      required: true,
      maxlength: 2_000,
      placeholder: 'https://',
      hint: t('An https URL with a public address. Events are sent there as POST requests.'),
    })}
    ${choices({
      name: 'receives',
      label: t('Events'),
      value: form.get('receives') ?? 'all',
      error: entries.errors.get('kinds'),
      options: [
        { value: 'all', label: t('All, also kinds that later versions add') },
        { value: 'some', label: t('The kinds that are selected below') },
      ],
    })}
    <fieldset class="stack">
      <legend>${t('Kinds')}</legend>
      ${Object.keys(noticeKinds).map((kind) => checkbox({ name: `kind_${kind}`, label: nameOfKind(kind), checked: form.has(`kind_${kind}`) }))}
    </fieldset>`;
}

function showRotate({ id, name, signing_secrets: secrets }: ShownWebhook, action: string): Reply {
  const title = t('Rotate the signing secret of {name}', { name });
  const back = { path: `/console/webhooks/${id}`, label: name };
  return {
    title,
    section,
    body: html`${pageHeading({ title, back })}
      ${secrets.length > 1 && notice('warn', t('A grace period is running. Its previous secret ends as soon as you continue.'))}
      <div class="card narrow">
        ${postForm(
          action,
          html`${selectField({
            name: 'overlap_seconds',
            label: t('Grace period'),
            value: '86400',
            options: [
              ['0', t('None: the previous secret ends now')] as const,
              ...['3600', '86400', '604800', '2592000'].map((value) => [value, inWords(Number(value))] as const),
            ],
            hint: t('Events are signed with both secrets for this time.'),
          })}
            <div class="actions">
              <button class="primary">${t('Rotate secret')}</button><a class="button" href=${back.path}>${t('Cancel')}</a>
            </div>`,
        )}
      </div>`,
  };
}

function showSecret(
  { id, name, signing_secret: secret, signing_secrets: secrets }: CreatedWebhook,
  title: string,
): Reply {
  const end = secrets[1]?.retires_at;
  return {
    title,
    section,
    body: html`${pageHeading({ title, lead: name })}
      ${notice('ok', html`<p>${rich('<strong>Copy the signing secret now.</strong> It is shown here for ten minutes and cannot be shown again later.')} ${end && rich('Events are signed with the previous one too until {end}.', { end: exactMoment(end) })}</p>`)}
      <section class="card" aria-label=${t('Signing secret')}>
        ${copyable({ id: 'signing-secret', label: t('Signing secret'), value: secret })}
        <p class="hint">${t('The receiver verifies the signature with any library for Standard Webhooks.')}</p>
      </section>
      <div class="actions"><a class="button" href=${`/console/webhooks/${id}`}>${t('Go to {name}', { name })}</a></div>`,
  };
}
