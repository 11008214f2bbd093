import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { baseOf, findArchives } from '../../../audit/audit-archive.ts';
import { type AuditVerification, verifyAuditLog } from '../../../audit/verify-audit-log.ts';
import { rich, t, translate } from '../languages/translate.ts';
import { attempt, type Listed, type Page, type Reply, type ShownEvent, type Visit } from '../page.ts';
import { emptyState, exactMoment, fromNow, pageHeading, pagination, table } from '../parts/elements.ts';
import { eventSentence, nameOfAction, sentences, shownValue } from '../parts/event-sentence.ts';
import { pageSizes, selectField, textField } from '../parts/forms.ts';
import { count } from '../parts/list-page.ts';
import { notice, problemNotice } from '../parts/notices.ts';
import { candidates, findPicked, type PickKind, pickText } from '../parts/picker.ts';
import { auditErasePages, eraseLink } from './audit-erase-pages.ts';

const path = '/console/audit';
const fields = ['actor', 'action', 'target', 'since', 'until'] as const;

/** Pages that list audit events and verify the audit log's hash chain. */
export const auditPages: readonly Page[] = [
  { method: 'get', path: '/audit', permission: 'audit:view', handle: (visit) => show(visit) },
  {
    // Verification changes nothing, so a reload can repeat it.
    method: 'get',
    path: '/audit/verify',
    isForDeployment: true,
    permission: 'audit:view',
    handle: async (visit) => show(visit, await verifyAuditLog(visit.core.database, visit.core.keyRing)),
  },
  ...auditErasePages,
];

async function show(visit: Visit, verification?: AuditVerification): Promise<Reply> {
  const { query } = visit;
  const filter = Object.fromEntries(fields.map((name) => [name, query[name]?.trim() || undefined]));
  const isFiltered = fields.some((name) => filter[name] !== undefined);
  const picks = await Promise.all([readPick(visit, 'actor', ['contact']), readPick(visit, 'target', targetKinds)]);
  const unclear = picks.find((pick) => pick && !pick.id);
  const ids = Object.fromEntries(picks.flatMap((pick) => (pick?.id ? [[pick.name, pick.id]] : [])));
  const texts = Object.fromEntries(picks.flatMap((pick) => (pick ? [[pick.name, pick.shown]] : [])));
  const result = await attempt(async () => {
    if (unclear) return undefined;
    const answer = await visit.call<Listed<ShownEvent>>('GET /audit-events', {
      query: {
        ...filter,
        ...ids,
        since: toMoment(filter['since']),
        until: toMoment(filter['until']),
        order: query['order'] === 'at' ? 'at' : undefined,
        limit: pageSizes.find(([size]) => size === query['limit'])?.[0] ?? pageSizes[0]?.[0],
        count: 'true',
        cursor: query['cursor'],
      },
    });
    return answer.body;
  });
  const events = 'done' in result ? result.done : undefined;
  const isForDeployment = visit.operator.organizationId === null;
  const archived = isForDeployment ? baseOf(await findArchives(visit.core.database)).seq : 0;
  return {
    ...('problem' in result ? { status: result.problem.status } : {}),
    title: t('Audit log'),
    section: 'audit',
    body: html`${pageHeading({
      title: t('Audit log'),
      lead: t(
        'All changes, and who made them. Events are linked in a chain, so that a changed or deleted event is detected.',
      ),
      actions: html`<form method="get" action="/console/audit/verify"><button>${t('Verify audit log')}</button></form>`,
    })}
    ${verification && verdict(verification)} ${filters({ ...query, ...filter, ...texts }, isFiltered)}
    ${unclear && candidates(visit, unclear)} ${'problem' in result && problemNotice(result.problem)}
    ${events?.total && count(events.total)} ${events && list(visit, events, isFiltered)}
    ${archived > 0 && html`<p class="muted">${t('Events up to #{seq} were moved to files and are not listed.', { seq: archived })}</p>`}`,
  };
}

const targetKinds = ['integration', 'resource_server', 'access_key', 'contact'] as const;

/**
 * Finds the actor or target that the text of a filter matches: by its name, or by an ID, also of a deleted thing.
 * Returns undefined if the filter is not set.
 */
async function readPick(visit: Visit, name: 'actor' | 'target', kinds: readonly PickKind[]) {
  const text = visit.query[name]?.trim();
  if (!text) return undefined;
  // A Client ID of an integration finds the events about this ID, not about a later one.
  const isId = /^(kti_\S+|cli:.*|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|all|keyturn)$/.test(text);
  const found = visit.can('integrations:view') ? await findPicked(visit, text, kinds) : [];
  const [only, another] = found;
  const picked = another ? undefined : only;
  if (isId) return { name, text, kinds, found, id: text, shown: picked ? pickText(picked) : text };
  // Other IDs, such as those of signing keys, consist of one word.
  const id = picked?.id ?? (found.length === 0 && /^\S+$/.test(text) ? text : undefined);
  return { name, text, kinds, found, id, shown: picked ? pickText(picked) : text };
}

function verdict({ events: last, from, checkpoint, erased, finding }: AuditVerification): VNode {
  const events = last - from + 1;
  if (!finding) {
    return notice(
      'ok',
      html`<p><strong>${t('The audit log is intact.')}</strong> ${t('{events, plural, one {# event was} other {# events were}} verified. None was changed, moved or deleted.', { events })}
          ${erased > 0 && t('Personal values of {erased, plural, one {# event} other {# events}} were erased, with an event about it.', { erased })}</p>
        <p>${rich('Store this checkpoint outside the database. With it, <code>keyturn audit verify --checkpoint</code> also detects that the whole database was replaced by an older copy:')}</p>
        <p><code>${checkpoint}</code></p>`,
    );
  }
  return notice(
    'bad',
    html`<p><strong>${t('The audit log was changed at event {seq}:', { seq: finding.seq })}</strong> ${translate(finding.problem.replaceAll('_', ' '))}.</p>
      <p>${t('The {events, number} events before it are intact. Do not change the database, and find out who can write to it.', { events })}</p>`,
  );
}

function filters(shown: Record<string, string | undefined>, isFiltered: boolean): VNode {
  const field = (name: string, label: string, more: Record<string, string> = {}) =>
    textField({ name, label, value: shown[name] ?? '', maxlength: 300, ...more });
  const action = shown['action'] ?? '';
  const isListed = action === '' || Object.hasOwn(sentences, action);
  const actions = Object.keys(sentences)
    .map((name) => [name, nameOfAction(name)] as const)
    .toSorted(([, one], [, other]) => one.localeCompare(other));
  return html`<details class="card" open=${isFiltered}>
    <summary>${t('Filter')}</summary>
    <form class="filters" method="get" action=${path}>
      ${field('actor', t('Who'), { 'data-pick': 'contact', placeholder: t('Name or ID') })}
      ${field('target', t('About'), { 'data-pick': targetKinds.join(' '), placeholder: t('Name or ID') })}
      ${selectField({
        name: 'action',
        label: t('Action'),
        value: action,
        options: [['', t('Any action')], ...(isListed ? [] : [[action, action] as const]), ...actions],
      })}
      ${field('since', t('From (UTC)'), { type: 'datetime-local' })} ${field('until', t('Until (UTC)'), { type: 'datetime-local' })}
      ${selectField({
        name: 'order',
        label: t('Order'),
        value: shown['order'],
        options: [
          ['', t('Newest first')],
          ['at', t('Oldest first')],
        ],
      })}
      ${selectField({ name: 'limit', label: t('Page size'), value: shown['limit'] ?? pageSizes[0]?.[0], options: pageSizes.map(([size, text]) => [size, t(text)] as const) })}
      <button id="filter-apply">${t('Filter')}</button>
      ${isFiltered && html`<a class="button" href=${path}>${t('Show all')}</a>`}
    </form>
  </details>`;
}

function list(visit: Visit, events: Listed<ShownEvent>, isFiltered: boolean): VNode {
  if (events.data.length === 0) {
    return emptyState(
      isFiltered ? t('No events match') : t('No events yet'),
      isFiltered && html`<p><a href=${path}>${t('Show all events')}</a></p>`,
    );
  }
  return html`${table({
    caption: t('Events'),
    columns: [{ label: t('Event') }, { label: t('Time') }, { label: t('Address') }, { label: t('Changes') }],
    rows: events.data.map((event) => [
      html`${eventSentence(visit, event)}<span class="under"
          >#${event.id} <code>${breakable(event.action)}</code> <a href=${`${path}?target=${encodeURIComponent(event.target)}`}>${`${translate(event.target_type.replaceAll('_', ' '))} `}<code>${shownValue(event, event.target)}</code></a>${eraseLink(visit, event)}</span
        >`,
      html`${exactMoment(event.at)}<span class="under">${fromNow(event.at, visit.now)}</span>`,
      event.address
        ? html`<span class="address">${shownValue(event, event.address)}</span>`
        : html`<span class="muted">${t('none')}</span>`,
      change(event),
    ]),
  })}
  ${pagination(path, visit.query, events)}`;
}

/** Allows line breaks after the dots and underscores of an action's name, and nowhere else. */
function breakable(action: string): VNode {
  return html`${action.split(/(?<=[._])/).map((word) => html`${word}<wbr />`)}`;
}

/** Lists the fields that differ between the states before and after an event. */
function change(event: ShownEvent): VNode {
  const { before, after } = event;
  const names = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])];
  const text = (value: unknown) => (value === undefined ? t('(not set)') : JSON.stringify(shownValue(event, value)));
  const changed = names.filter((name) => text(before?.[name]) !== text(after?.[name]));
  if (changed.length === 0) return html`<span class="muted">–</span>`;
  return html`<details>
    <summary>${t('{count, plural, one {# field} other {# fields}}', { count: changed.length })}</summary>
    <ul class="changes">
      ${changed.map((name) => html`<li><code>${before ? `${name}: ${text(before[name])} → ${text(after?.[name])}` : `${name}: ${text(after?.[name])}`}</code></li>`)}
    </ul>
  </details>`;
}

/** Converts a `datetime-local` value, which has no time zone, to a time in UTC with a precision of one minute. */
function toMoment(local: string | undefined): string | undefined {
  return local && /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?$/.test(local) ? `${local.slice(0, 16)}:00Z` : local;
}
