import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { msg, rich, t, translate } from '../../languages/translate.ts';
import type { Listed, Page, ShownWebhook, ShownWebhookDelivery, Visit } from '../../page.ts';
import {
  apiText,
  badge,
  emptyState,
  exactMoment,
  facts,
  fromNow,
  lastUse,
  pageHeading,
  pagination,
  table,
} from '../../parts/elements.ts';
import { historySection } from '../../parts/event-sentence.ts';
import { postForm } from '../../parts/forms.ts';
import { notice } from '../../parts/notices.ts';

const section = 'webhooks';

/** Pages that list webhooks, and show one with what was delivered to it. */
export const webhookPages: readonly Page[] = [
  {
    method: 'get',
    path: '/webhooks',
    permission: 'integrations:view',
    handle: async (visit) => {
      const { body } = await visit.call<Listed<ShownWebhook>>('GET /webhooks', { query: visit.query });
      return {
        title: t('Webhooks'),
        section,
        body: html`${pageHeading({
          title: t('Webhooks'),
          lead: t('Programs that receive notices over HTTP, such as the end of a grace period.'),
          actions:
            visit.can('api_key:manage') &&
            html`<a class="button primary" href="/console/webhooks/new">${t('New webhook')}</a>`,
        })}
        ${body.data.length === 0 ? emptyState(t('No webhooks'), html`<p>${t('A webhook sends every notice to a URL, signed with a secret that only the receiver knows.')}</p>`) : list(visit, body)}`,
      };
    },
  },
  {
    method: 'get',
    path: '/webhooks/:id',
    permission: 'integrations:view',
    handle: async (visit) => {
      const params = { id: visit.params['id'] };
      const [{ body: webhook }, { body: deliveries }] = await Promise.all([
        visit.call<ShownWebhook>('GET /webhooks/{id}', { params }),
        visit.call<Listed<ShownWebhookDelivery>>('GET /webhooks/{id}/deliveries', {
          params,
          query: { limit: '20', cursor: visit.query['cursor'] },
        }),
      ]);
      const mayManage = visit.can('api_key:manage');
      return {
        title: webhook.name,
        section,
        body: html`${pageHeading({
          title: webhook.name,
          lead: statusOf(webhook),
          back: { path: '/console/webhooks', label: t('Webhooks') },
          actions: mayManage && html`<a class="button" href=${`/console/webhooks/${webhook.id}/edit`}>${t('Edit')}</a>`,
        })}
        ${trouble(webhook)}
        <div class="grid two">${about(visit, webhook)} ${secrets(visit, webhook, mayManage)}</div>
        ${deliveriesOf(visit, webhook, deliveries, mayManage)} ${await historySection(visit, webhook.id)}
        ${mayManage && danger(webhook)}`,
      };
    },
  },
];

function list(visit: Visit, body: Listed<ShownWebhook>): VNode {
  return html`${table({
    caption: t('Webhooks'),
    columns: [{ label: t('Name') }, { label: t('Status') }, { label: t('Kinds') }, { label: t('Last delivered') }],
    rows: body.data.map((webhook) => [
      html`<a class="strong" href=${`/console/webhooks/${webhook.id}`}>${webhook.name}</a><code class="under">${webhook.url}</code>`,
      statusOf(webhook),
      webhook.kinds?.map(nameOfKind).join(', ') ?? t('all'),
      lastUse(webhook.last_success_at, visit.now),
    ]),
  })}
  ${pagination('/console/webhooks', visit.query, body)}`;
}

/** Returns the name of a kind of notices, such as `Grace period began`. */
export function nameOfKind(kind: string): string {
  const words = kind.replaceAll('_', ' ');
  return translate(`${words.charAt(0).toUpperCase()}${words.slice(1)}`);
}

const disabledTexts = {
  operator: msg('disabled'),
  failing: msg('disabled after three days of failures'),
  gone: msg('disabled: the receiver wants no more'),
} as const;

function statusOf({ disabled_as: as, failing_since: since }: ShownWebhook): VNode {
  return html`<span class="badges">${as === null ? badge('ok', t('enabled')) : badge('bad', t(disabledTexts[as]))}${as === null && since !== null && badge('warn', t('failing'))}</span>`;
}

function trouble(webhook: ShownWebhook): VNode | null {
  const { failing_since: since, last_failure: reason, disabled_as: as } = webhook;
  if (since === null && (as === null || as === 'operator')) return null;
  return notice(
    as === null ? 'warn' : 'bad',
    html`<p>
        ${since && html`<strong>${rich('Nothing was delivered since {at}.', { at: exactMoment(since) })}</strong> `}${reason && apiText(reason)} ${as === null ? t('It is tried again with increasing pauses. After three days, the webhook is disabled.') : t('Enable it when the receiver works, and deliver the events of the meantime again.')}
      </p>`,
  );
}

function about(visit: Visit, webhook: ShownWebhook): VNode {
  return html`<section class="card" aria-labelledby="about">
    <h2 id="about">${t('Details')}</h2>
    ${facts({
      [t('URL')]: html`<code>${webhook.url}</code>`,
      [t('Kinds')]: webhook.kinds
        ? html`<ul>${webhook.kinds.map((kind) => html`<li>${nameOfKind(kind)}</li>`)}</ul>`
        : t('all'),
      [t('Last delivered')]: lastUse(webhook.last_success_at, visit.now),
      [t('Created')]: fromNow(webhook.created_at, visit.now),
    })}
    ${
      visit.can('api_key:manage') &&
      html`<div class="actions">${postForm(`/console/webhooks/${webhook.id}/test`, html`<button>${t('Send test event')}</button>`)}</div>`
    }
  </section>`;
}

function secrets(visit: Visit, webhook: ShownWebhook, mayManage: boolean): VNode {
  const at = `/console/webhooks/${webhook.id}`;
  const isRotating = webhook.signing_secrets.length > 1;
  return html`<section class="card" aria-labelledby="secrets">
    <h2 id="secrets">${t('Signing secrets')}</h2>
    ${table({
      caption: t('Signing secrets'),
      columns: [{ label: t('Secret') }, { label: t('Status') }, { label: t('Expires') }],
      rows: webhook.signing_secrets.map((secret) => [
        html`<code>${secret.hint}</code>`,
        secret.retires_at === null ? badge('ok', t('current')) : badge('warn', t('previous')),
        secret.retires_at ? fromNow(secret.retires_at, visit.now) : html`<span class="muted">${t('never')}</span>`,
      ]),
    })}
    ${isRotating && html`<p class="hint">${t('Events are signed with both, so receivers can move one by one.')}</p>`}
    ${
      mayManage &&
      html`<div class="actions">
        <a class="button" href=${`${at}/rotate`}>${t('Rotate secret…')}</a>
        ${isRotating && html`<a class="button" href=${`${at}/rotation/finish`}>${t('End grace period now')}</a><a class="button danger" href=${`${at}/rotation/undo`}>${t('Undo rotation')}</a>`}
      </div>`
    }
  </section>`;
}

const tones = { pending: 'warn', delivered: 'ok', skipped: 'plain', parked: 'bad' } as const;
const states = {
  pending: msg('pending'),
  delivered: msg('delivered'),
  skipped: msg('skipped'),
  parked: msg('parked'),
};

function deliveriesOf(
  visit: Visit,
  webhook: ShownWebhook,
  deliveries: Listed<ShownWebhookDelivery>,
  mayManage: boolean,
): VNode {
  const at = `/console/webhooks/${webhook.id}`;
  return html`<section class="card" aria-labelledby="deliveries">
    <div class="card-head">
      <h2 id="deliveries">${t('Deliveries')}</h2>
      ${mayManage && webhook.status === 'enabled' && html`<a href=${`${at}/replay`}>${t('Deliver again…')}</a>`}
    </div>
    ${
      deliveries.data.length === 0
        ? html`<p class="muted">${t('Nothing yet. Send a test event to check the receiver.')}</p>`
        : table({
            caption: t('Deliveries'),
            columns: [
              { label: t('Event') },
              { label: t('State') },
              { label: t('Attempts'), isNumber: true },
              { label: t('Delivered') },
            ],
            rows: deliveries.data.map(({ event, state, attempts, reason, settled_at: at }) => [
              html`${nameOfKind(event.type.split('.').at(-1) ?? '')}<span class="under"><code>${event.subject}</code>, ${fromNow(event.time, visit.now)}</span>`,
              html`${badge(tones[state], t(states[state]))}${reason && html`<span class="under">${apiText(reason)}</span>`}`,
              String(attempts),
              at ? fromNow(at, visit.now) : html`<span class="muted">${t('not yet')}</span>`,
            ]),
          })
    }
    ${pagination(at, visit.query, deliveries)}
  </section>`;
}

function danger(webhook: ShownWebhook): VNode {
  const at = `/console/webhooks/${webhook.id}`;
  return html`<section class="card" aria-labelledby="danger">
    <h2 id="danger">${t('Danger zone')}</h2>
    <div class="actions">
      ${
        webhook.status === 'enabled'
          ? html`<a class="button danger" href=${`${at}/disable`}>${t('Disable…')}</a>`
          : postForm(`${at}/enable`, html`<button>${t('Enable')}</button>`)
      }
      <a class="button danger" href=${`${at}/delete`}>${t('Delete…')}</a>
    </div>
  </section>`;
}
