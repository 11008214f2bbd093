import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { type AuditVerification, verifyAuditLog } from '../../../audit/verify-audit-log.ts';
import { attempt, type Listed, type Page, type Reply, type ShownEvent, type Visit } from '../page.ts';
import { emptyState, exactMoment, fromNow, pageHeading, pagination, table } from '../parts/elements.ts';
import { eventSentence, verbs } from '../parts/event-sentence.ts';
import { pageSizes, selectField, textField } from '../parts/forms.ts';
import { count } from '../parts/list-page.ts';
import { notice, problemNotice } from '../parts/notices.ts';
import { candidates, findPicked, type PickKind, pickText } from '../parts/picker.ts';

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
  return {
    ...('problem' in result ? { status: result.problem.status } : {}),
    title: 'Audit log',
    section: 'audit',
    body: html`${pageHeading({
      title: 'Audit log',
      lead: 'All changes, and who made them. Events are linked in a chain, so that a changed or deleted event is detected.',
      actions: html`<form method="get" action="/console/audit/verify"><button>Verify audit log</button></form>`,
    })}
    ${verification && verdict(verification)} ${filters({ ...query, ...filter, ...texts }, isFiltered)}
    ${unclear && candidates(visit, unclear)} ${'problem' in result && problemNotice(result.problem)}
    ${events?.total && count(events.total)} ${events && list(visit, events, isFiltered)}`,
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

function verdict({ events, checkpoint, finding }: AuditVerification): VNode {
  if (!finding) {
    return notice(
      'ok',
      html`<p><strong>The audit log is intact.</strong> ${`${events === 1 ? '1 event was' : `${events} events were`} verified. None was changed, moved or deleted.`}</p>
        <p>Store this checkpoint outside the database. With it, <code>keyturn audit verify --checkpoint</code> also detects that the whole database was replaced by an older copy:</p>
        <p><code>${checkpoint}</code></p>`,
    );
  }
  return notice(
    'bad',
    html`<p><strong>The audit log was changed at event ${finding.seq}:</strong> ${finding.problem.replaceAll('_', ' ')}.</p>
      <p>${`The ${events} events before it are intact. Do not change the database, and find out who can write to it.`}</p>`,
  );
}

function filters(shown: Record<string, string | undefined>, isFiltered: boolean): VNode {
  const field = (name: string, label: string, more: Record<string, string> = {}) =>
    textField({ name, label, value: shown[name] ?? '', maxlength: 300, ...more });
  const action = shown['action'] ?? '';
  const isListed = action === '' || Object.hasOwn(verbs, action);
  const actions = Object.keys(verbs)
    .map((name) => [name, nameOf(name)] as const)
    .toSorted(([, one], [, other]) => one.localeCompare(other));
  return html`<details class="card" open=${isFiltered}>
    <summary>Filter</summary>
    <form class="filters" method="get" action=${path}>
      ${field('actor', 'Who', { 'data-pick': 'contact', placeholder: 'Name or ID' })}
      ${field('target', 'About', { 'data-pick': targetKinds.join(' '), placeholder: 'Name or ID' })}
      ${selectField({
        name: 'action',
        label: 'Action',
        value: action,
        options: [['', 'Any action'], ...(isListed ? [] : [[action, action] as const]), ...actions],
      })}
      ${field('since', 'From (UTC)', { type: 'datetime-local' })} ${field('until', 'Until (UTC)', { type: 'datetime-local' })}
      ${selectField({
        name: 'order',
        label: 'Order',
        value: shown['order'],
        options: [
          ['', 'Newest first'],
          ['at', 'Oldest first'],
        ],
      })}
      ${selectField({ name: 'limit', label: 'Page size', value: shown['limit'] ?? pageSizes[0]?.[0], options: pageSizes })}
      <button id="filter-apply">Filter</button>
      ${isFiltered && html`<a class="button" href=${path}>Show all</a>`}
    </form>
  </details>`;
}

/** Returns an action in words, such as `Access key: disable`. */
function nameOf(action: string): string {
  const [noun = '', verb = ''] = action.replaceAll('_', ' ').split('.');
  return `${noun.charAt(0).toUpperCase()}${noun.slice(1)}: ${verb}`;
}

function list(visit: Visit, events: Listed<ShownEvent>, isFiltered: boolean): VNode {
  if (events.data.length === 0) {
    return emptyState(
      isFiltered ? 'No events match' : 'No events yet',
      isFiltered && html`<p><a href=${path}>Show all events</a></p>`,
    );
  }
  return html`${table({
    caption: 'Events',
    columns: [{ label: 'Event' }, { label: 'Time' }, { label: 'Address' }, { label: 'Changes' }],
    rows: events.data.map((event) => [
      html`${eventSentence(visit, event)}<span class="under"
          >#${event.id} <code>${breakable(event.action)}</code> <a href=${`${path}?target=${encodeURIComponent(event.target)}`}>${`${event.target_type.replaceAll('_', ' ')} `}<code>${event.target}</code></a></span
        >`,
      html`${exactMoment(event.at)}<span class="under">${fromNow(event.at, visit.now)}</span>`,
      event.address ? html`<span class="address">${event.address}</span>` : html`<span class="muted">none</span>`,
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
function change({ before, after }: ShownEvent): VNode {
  const names = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])];
  const text = (value: unknown) => (value === undefined ? '(not set)' : JSON.stringify(value));
  const changed = names.filter((name) => text(before?.[name]) !== text(after?.[name]));
  if (changed.length === 0) return html`<span class="muted">–</span>`;
  return html`<details>
    <summary>${changed.length === 1 ? '1 field' : `${changed.length} fields`}</summary>
    <ul class="changes">
      ${changed.map((name) => html`<li><code>${before ? `${name}: ${text(before[name])} → ${text(after?.[name])}` : `${name}: ${text(after?.[name])}`}</code></li>`)}
    </ul>
  </details>`;
}

/** Converts a `datetime-local` value, which has no time zone, to a time in UTC with a precision of one minute. */
function toMoment(local: string | undefined): string | undefined {
  return local && /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?$/.test(local) ? `${local.slice(0, 16)}:00Z` : local;
}
