import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { linkTo, type Message, msg, rich, t } from '../../languages/translate.ts';
import {
  attempt,
  type Listed,
  type Page,
  type Reply,
  type ShownApproval,
  type ShownApprovalDetail,
  type Visit,
} from '../../page.ts';
import { clientPath } from '../../parts/client-path.ts';
import {
  badge,
  emptyState,
  exactMoment,
  facts,
  fromNow,
  pageHeading,
  pagination,
  permissionName,
  stateLinks,
  table,
} from '../../parts/elements.ts';
import { postForm, textArea } from '../../parts/forms.ts';
import { problemNotice } from '../../parts/notices.ts';

const path = '/console/approvals';
const section = 'approvals';

const states: Record<ShownApproval['state'], { text: Message; tone: 'ok' | 'warn' | 'bad' | 'plain' }> = {
  pending: { text: msg('waiting'), tone: 'warn' },
  approved: { text: msg('approved'), tone: 'ok' },
  refused: { text: msg('refused'), tone: 'bad' },
  withdrawn: { text: msg('withdrawn'), tone: 'plain' },
  used: { text: msg('carried out'), tone: 'plain' },
  expired: { text: msg('expired'), tone: 'plain' },
};

export const actNames: Record<ShownApproval['act'], Message> = {
  reveal: msg('Show the secret again'),
  revoke_all: msg('Revoke all tokens'),
  delete: msg('Delete'),
  erase: msg('Erase personal values in the audit log'),
  root_key: msg('Rotate the root key'),
  policies: msg('Change policies'),
};

/** Pages that list requests for the approval of a second person, and decide them. */
export const approvalPages: readonly Page[] = [
  { method: 'get', path: '/approvals', handle: list },
  { method: 'get', path: '/approvals/:id', handle: (visit) => show(visit) },
  {
    method: 'post',
    path: '/approvals/:id/decide',
    handle: async (visit) => {
      const isApproval = visit.form.get('verdict') === 'approve';
      const route = isApproval ? 'POST /approvals/{id}/approve' : 'POST /approvals/{id}/refuse';
      const note = visit.form.get('note')?.trim() || undefined;
      return await act(visit, () => visit.call(route, { ...of(visit), body: { note } }), isApproval);
    },
  },
  {
    method: 'post',
    path: '/approvals/:id/explain',
    handle: async (visit) => {
      const reason = visit.form.get('reason')?.trim() ?? '';
      return await act(visit, () => visit.call('PATCH /approvals/{id}', { ...of(visit), body: { reason } }));
    },
  },
];

function of({ params }: Visit) {
  return { params: { id: params['id'] } };
}

async function act(visit: Visit, work: () => Promise<unknown>, isApproval = false): Promise<Reply> {
  const result = await attempt(work);
  if ('problem' in result)
    return { ...(await show(visit, problemNotice(result.problem))), status: result.problem.status };
  return { seeOther: `${path}/${visit.params['id']}` as `/console/${string}`, done: isApproval ? 'approved' : 'saved' };
}

async function list(visit: Visit): Promise<Reply> {
  const { state, cursor } = visit.query;
  const { body } = await visit.call<Listed<ShownApproval>>('GET /approvals', { query: { state, cursor } });
  return {
    title: t('Approvals'),
    section,
    body: html`${pageHeading({
      title: t('Approvals'),
      lead: t('Acts that a second person has to approve: your requests, and those that you may approve.'),
      actions:
        visit.can('contacts:manage') &&
        html`<a class="button" href=${`${path}/settings`}>${t('Settings of approvals')}</a>`,
    })}
    ${stateLinks({ label: t('State of the requests'), path, states, chosen: state })}
    ${
      body.data.length === 0
        ? emptyState(t('No requests'), html`<p>${t('An act that needs approval makes a request by itself.')}</p>`)
        : table({
            caption: t('Requests for approval, the newest first'),
            columns: [
              { label: t('Request') },
              { label: t('Requested by') },
              { label: t('State') },
              { label: t('Time') },
            ],
            rows: body.data.map((item) => [
              html`<a class="strong" href=${`${path}/${item.id}`}>${t(actNames[item.act])}: ${item.subject.name}</a>${item.reason !== null && html`<span class="under">${item.reason}</span>`}`,
              item.requested_by,
              badge(states[item.state].tone, t(states[item.state].text)),
              html`${fromNow(item.created_at, visit.now)}<span class="under">${exactMoment(item.created_at)}</span>`,
            ]),
          })
    }
    ${pagination(path, visit.query, body)}`,
  };
}

async function show(visit: Visit, problem?: VNode): Promise<Extract<Reply, { title: string }>> {
  const { body } = await visit.call<ShownApprovalDetail>('GET /approvals/{id}', of(visit));
  const title = `${t(actNames[body.act])}: ${body.subject.name}`;
  const isOwn = body.requester_id === visit.operator.id;
  const isPending = body.state === 'pending';
  return {
    title,
    section,
    body: html`${pageHeading({ title, back: { path, label: t('Approvals') } })} ${problem}
      ${isOwn && body.state === 'approved' && carryOut(body)}
      <section class="card" aria-label=${t('Request')}>
        ${facts({
          [t('State')]: html`${badge(states[body.state].tone, t(states[body.state].text))}`,
          [t('About')]: about(body),
          [t('Request')]: html`<code>${body.request}</code>`,
          ...(Object.keys(body.body).length > 0
            ? { [t('Content')]: html`<code>${JSON.stringify(body.body)}</code>` }
            : {}),
          [t('Requested by')]: body.requested_by,
          [t('Reason')]: body.reason ?? html`<span class="muted">${t('not given')}</span>`,
          [t('Permission')]: permissionName(body.permission),
          [t('Requested')]: exactMoment(body.created_at),
          ...(body.decided_by === null ? {} : { [t('Decided by')]: decision(body) }),
          ...(body.used_at === null ? {} : { [t('Carried out')]: exactMoment(body.used_at) }),
          ...(isPending || body.state === 'approved' ? { [t('Expires')]: exactMoment(body.expires_at) } : {}),
        })}
      </section>
      <section class="card" aria-labelledby="impact">
        <div class="card-head"><h2 id="impact">${t('What it affects')}</h2></div>
        ${impact(visit, body)}
      </section>
      ${isPending && (isOwn ? ownForms(body) : decisionForm(visit, body))}`,
  };
}

function decision({ decided_by: by, decided_at: at, note }: ShownApprovalDetail): VNode {
  return html`${by}${at !== null && html`, ${exactMoment(at)}`}${note !== null && html`<span class="under">${note}</span>`}`;
}

function carryOut(body: ShownApprovalDetail): VNode {
  return html`<div class="notice ok" role="status">
    <p>${rich('<strong>Approved.</strong> You can carry it out once, until {time}: do the same again where you requested it.', { time: exactMoment(body.expires_at) })}</p>
    <p>${about(body)}</p>
  </div>`;
}

function impact({ now }: Visit, { impact: of, subject }: ShownApprovalDetail): VNode {
  const counts = [
    of.sources > 0 &&
      t('{count, plural, one {# source} other {# sources}} used it in the last 30 days.', { count: of.sources }),
    of.clients > 0 &&
      t('{count, plural, one {# client belongs} other {# clients belong}} to it.', { count: of.clients }),
    of.access_keys > 0 &&
      t('{count, plural, one {# access key belongs} other {# access keys belong}} to it.', { count: of.access_keys }),
    of.contacts > 0 &&
      t('{count, plural, one {# contact belongs} other {# contacts belong}} to it.', { count: of.contacts }),
  ].filter((each) => each !== false);
  const isUsed = subject.type === 'client' || subject.type === 'access_key';
  return html`<ul class="bullets">
    ${isUsed && html`<li>${t('Last used')}: ${of.last_used_at === null ? t('never') : fromNow(of.last_used_at, now)}</li>`}
    ${of.generated_at !== null && html`<li>${t('Generated')}: ${fromNow(of.generated_at, now)}</li>`}
    ${counts.map((each) => html`<li>${each}</li>`)}
    ${!isUsed && counts.length === 0 && html`<li>${t('Nothing that is counted belongs to it.')}</li>`}
  </ul>`;
}

const pages: Readonly<Record<string, (id: string) => string>> = {
  client: clientPath,
  access_key: (id) => `/console/access-keys/${id}`,
  contact: (id) => `/console/contacts/${id}`,
  organization: (id) => `/console/organizations/${id}`,
};

function about({ act, subject }: ShownApproval): VNode | string {
  if (act === 'policies') return linkTo(`${path}/settings`)(subject.name);
  const page = pages[subject.type];
  return page ? linkTo(page(subject.id))(subject.name) : subject.name;
}

function ownForms({ id, reason }: ShownApprovalDetail): VNode {
  return html`<div class="card narrow">
    ${postForm(
      `${path}/${id}/explain`,
      html`${textArea({ name: 'reason', label: t('Reason'), rows: 2, value: reason ?? '', hint: t('The person who decides sees it.') })}
        <div class="actions"><button class="primary">${t('Save reason')}</button></div>`,
    )}
    ${postForm(`${path}/${id}/decide`, html`<button name="verdict" value="refuse">${t('Withdraw the request')}</button>`, 'inline')}
  </div>`;
}

function decisionForm({ can }: Visit, { id, permission }: ShownApprovalDetail): VNode | false {
  return (
    can(permission) &&
    html`<div class="card narrow">
      ${postForm(
        `${path}/${id}/decide`,
        html`${textArea({ name: 'note', label: t('Note'), rows: 2, value: '', hint: t('Optional. The requester sees it.') })}
          <div class="actions">
            <button class="primary" name="verdict" value="approve">${t('Approve')}</button>
            <button class="danger" name="verdict" value="refuse">${t('Refuse')}</button>
          </div>`,
      )}
    </div>`
  );
}
