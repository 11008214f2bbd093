import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { type AuditVerification, verifyAuditLog } from '../../../audit/verify-audit-log.ts';
import { attempt, type Listed, type Page, type Reply, type ShownEvent, type Visit } from '../page.ts';
import { emptyState, exactMoment, nextPage, pageHeading, table } from '../parts/elements.ts';
import { textField } from '../parts/forms.ts';
import { notice, problemNotice } from '../parts/notices.ts';

const path = '/console/audit';
const fields = ['actor', 'action', 'target', 'since', 'until'] as const;

/** Pages that list audit events and verify the audit log's hash chain. */
export const auditPages: readonly Page[] = [
  { method: 'get', path: '/audit', permission: 'audit:view', handle: (visit) => show(visit) },
  {
    // Verification changes nothing, so a reload can repeat it.
    method: 'get',
    path: '/audit/verify',
    permission: 'audit:view',
    handle: async (visit) => show(visit, await verifyAuditLog(visit.core.database, visit.core.keyRing)),
  },
];

async function show(visit: Visit, verification?: AuditVerification): Promise<Reply> {
  const { query } = visit;
  const filter = Object.fromEntries(fields.map((name) => [name, query[name]?.trim() || undefined]));
  const result = await attempt(() =>
    visit.call<Listed<ShownEvent>>('GET /audit-events', {
      query: { ...filter, since: toMoment(filter['since']), until: toMoment(filter['until']), cursor: query['cursor'] },
    }),
  );
  const isFiltered = Object.values(filter).some((value) => value !== undefined);
  return {
    ...('problem' in result ? { status: result.problem.status } : {}),
    title: 'Audit log',
    section: 'audit',
    body: html`${pageHeading({
      title: 'Audit log',
      lead: 'All changes, and who made them. Events are linked in a chain, so that a changed or deleted event is detected.',
      actions: html`<form method="get" action="/console/audit/verify"><button>Verify audit log</button></form>`,
    })}
    ${verification && verdict(verification)} ${filterForm(filter, isFiltered)}
    ${'problem' in result ? problemNotice(result.problem) : list(visit, result.done.body, isFiltered)}`,
  };
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

function filterForm(filter: Record<string, string | undefined>, isFiltered: boolean): VNode {
  const field = (name: string, label: string, more: Record<string, string> = {}) =>
    textField({ name, label, value: filter[name] ?? '', maxlength: 200, ...more });
  return html`<details class="card" open=${isFiltered}>
    <summary>Filter</summary>
    <form class="filters" method="get" action=${path}>
      ${field('actor', 'Actor ID')} ${field('action', 'Action', { placeholder: 'client.disable' })}
      ${field('target', 'Target ID', { placeholder: 'kti_…' })} ${field('since', 'From (UTC)', { type: 'datetime-local' })}
      ${field('until', 'Until (UTC)', { type: 'datetime-local' })}
      <button>Filter</button>
      ${isFiltered && html`<a class="button" href=${path}>Show all</a>`}
    </form>
  </details>`;
}

function list({ query }: Visit, { data, next_cursor: cursor }: Listed<ShownEvent>, isFiltered: boolean): VNode {
  if (data.length === 0) {
    return emptyState(
      isFiltered ? 'No events match' : 'No events yet',
      isFiltered && html`<p><a href=${path}>Show all events</a></p>`,
    );
  }
  return html`${table({
    caption: 'Events, newest first',
    columns: [{ label: 'Action' }, { label: 'Time' }, { label: 'Actor' }, { label: 'Target' }, { label: 'Changes' }],
    rows: data.map((event) => [
      html`<strong class="strong">${breakable(event.action)}</strong><span class="under">#${event.id}</span>`,
      exactMoment(event.at),
      html`<a href=${`${path}?actor=${encodeURIComponent(event.actor)}`}>${event.actor_name || 'unknown'}</a
        >${event.address && html`<span class="under">${event.address}</span>`}`,
      html`<a href=${`${path}?target=${encodeURIComponent(event.target)}`}><code>${event.target}</code></a
        ><span class="under">${event.target_type.replaceAll('_', ' ')} ${event.target_name}</span>`,
      change(event),
    ]),
  })}
  ${nextPage(path, query, cursor)}`;
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
