import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { linkTo, type Message, msg, rich, t } from '../languages/translate.ts';
import { attempt, type Listed, type Page, type Reply, type ShownNotice, type Visit } from '../page.ts';
import { clientPath } from '../parts/client-path.ts';
import {
  apiText,
  badge,
  emptyState,
  exactMoment,
  facts,
  fromNow,
  pageHeading,
  pagination,
  stateLinks,
  table,
} from '../parts/elements.ts';
import { postForm } from '../parts/forms.ts';
import { inLanguageOfNotices, wordsOf } from '../parts/notice-words.ts';
import { problemNotice } from '../parts/notices.ts';

const path = '/console/notices';
const states: Record<Delivery['state'], { text: Message; tone: 'ok' | 'warn' | 'bad' | 'plain' }> = {
  pending: { text: msg('pending'), tone: 'plain' },
  delivered: { text: msg('delivered'), tone: 'ok' },
  skipped: { text: msg('skipped'), tone: 'plain' },
  parked: { text: msg('parked'), tone: 'bad' },
};
type Delivery = ShownNotice['deliveries'][number];

/** Pages that list notices, and show and retry their deliveries. */
export const noticePages: readonly Page[] = [
  { method: 'get', path: '/notices', permission: 'integrations:view', handle: list },
  { method: 'get', path: '/notices/:id', permission: 'integrations:view', handle: (visit) => show(visit) },
  {
    method: 'post',
    path: '/notices/:id/retry',
    permission: 'integrations:edit',
    handle: async (visit) => {
      const params = { id: visit.params['id'] };
      const result = await attempt(() => visit.call('POST /notices/{id}/retry', { params }));
      if ('problem' in result) return await show(visit, problemNotice(result.problem));
      return { seeOther: `${path}/${visit.params['id']}` as `/console/${string}`, done: 'saved' };
    },
  },
];

async function list(visit: Visit): Promise<Reply> {
  const { state, kind, cursor } = visit.query;
  const { body } = await visit.call<Listed<ShownNotice>>('GET /notices', { query: { state, kind, cursor } });
  return {
    title: t('Notices'),
    section: 'home',
    body: html`${pageHeading({
      title: t('Notices'),
      lead: t('Notices to people and programs, the newest first. Notices are kept for 90 days.'),
      actions:
        visit.can('contacts:manage') &&
        html`<a class="button" href="/console/notices/settings">${t('Notice settings')}</a>`,
      back: { path: '/console/', label: t('Home') },
    })}
    ${stateLinks({ label: t('State of the deliveries'), path, states, chosen: state })}
    ${
      body.data.length === 0
        ? emptyState(t('No notices'), html`<p>${t('Nothing was found.')}</p>`)
        : table({
            caption: t('Notices, the newest first'),
            columns: [{ label: t('Time') }, { label: t('Notice') }, { label: t('Deliveries') }],
            rows: body.data.map((item) => [
              html`${fromNow(item.at, visit.now)}<span class="under">${exactMoment(item.at)}</span>`,
              html`<a class="strong" href=${`${path}/${item.id}`}>${inLanguageOfNotices(wordsOf(item).title)}</a>`,
              deliveryBadges(item.deliveries),
            ]),
          })
    }
    ${pagination(path, visit.query, body)}`,
  };
}

function deliveryBadges(deliveries: readonly Delivery[]): VNode {
  if (deliveries.length === 0) return html`<span class="muted">${t('none')}</span>`;
  const counts = Map.groupBy(deliveries, ({ state }) => state);
  return html`${[...counts].map(([state, { length }]) => badge(states[state].tone, `${t(states[state].text)} ${length > 1 ? length : ''}`))}`;
}

async function show(visit: Visit, problem?: VNode): Promise<Reply> {
  const { body } = await visit.call<ShownNotice>('GET /notices/{id}', { params: { id: visit.params['id'] } });
  const { title, message, step } = wordsOf(body);
  const isParked = body.deliveries.some(({ state }) => state === 'parked');
  return {
    title,
    section: 'home',
    body: html`${pageHeading({ title, back: { path, label: t('Notices') } })} ${problem}
      <section class="card">
        <p>${inLanguageOfNotices(message)}</p>
        ${step !== null && html`<p>${inLanguageOfNotices(step)}</p>`}
        ${facts({ [t('Time')]: exactMoment(body.at), [t('About')]: about(body), [t('ID')]: html`<code>${body.id}</code>` })}
      </section>
      <section class="card" aria-labelledby="deliveries">
        <div class="card-head"><h2 id="deliveries">${t('Deliveries')}</h2></div>
        ${
          body.deliveries.length === 0
            ? html`<p class="muted">${t('It has no receivers: no mail server is set, or the kind is switched off.')}</p>`
            : table({
                caption: t('Deliveries of this notice'),
                columns: [
                  { label: t('Receiver') },
                  { label: t('State') },
                  { label: t('Attempts') },
                  { label: t('Reason') },
                ],
                rows: body.deliveries.map((each) => [
                  html`${each.receiver_name}<span class="under">${each.channel}</span>`,
                  html`${badge(states[each.state].tone, t(states[each.state].text))}${when(visit, each)}`,
                  String(each.attempts),
                  each.reason === null ? '' : apiText(each.reason),
                ]),
              })
        }
        ${isParked && visit.can('integrations:edit') && postForm(`${path}/${body.id}/retry`, html`<button>${t('Try again')}</button>`, 'inline')}
      </section>`,
  };
}

function when({ now }: Visit, { settled_at: settled, next_at: next }: Delivery): VNode | null {
  if (settled !== null) return html`<span class="under">${fromNow(settled, now)}</span>`;
  return next === null
    ? null
    : html`<span class="under">${rich('next attempt {time}', { time: fromNow(next, now) })}</span>`;
}

const pages: Readonly<Record<string, (id: string) => string>> = {
  client: clientPath,
  access_key: (id) => `/console/access-keys/${id}`,
  contact: (id) => `/console/contacts/${id}`,
  organization: (id) => `/console/organizations/${id}`,
};

function about({ subject }: ShownNotice): VNode | string {
  const of = pages[subject.type];
  return of ? linkTo(of(subject.id))(subject.name) : subject.name;
}
