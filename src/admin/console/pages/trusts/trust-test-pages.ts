import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { type Message, msg, t } from '../../languages/translate.ts';
import { attempt, type Page, type Reply, type ShownTrial } from '../../page.ts';
import { clientPath } from '../../parts/client-path.ts';
import { apiText, badge, exactMoment, facts, pageHeading, table } from '../../parts/elements.ts';
import { postForm, textArea } from '../../parts/forms.ts';
import { problemNotice } from '../../parts/notices.ts';

type ShownCheck = ShownTrial['trusts'][number]['checks'][number];

const rules: Record<ShownCheck['check'], Message> = {
  issuer: msg('Issuer'),
  audience: msg('Audience'),
  expiry: msg('Expires'),
  issued_at: msg('Issued'),
  not_before: msg('Valid from'),
  lifetime: msg('Lifetime'),
  condition: msg('Condition'),
};

/** Pages that try a token: which rule of which trust it meets. */
export const trustTestPages: readonly Page[] = [
  { method: 'get', path: '/trusts/test', permission: 'integrations:view', handle: async () => show(undefined) },
  {
    method: 'post',
    path: '/trusts/test',
    permission: 'integrations:view',
    handle: async (visit) => {
      const token = visit.form.get('token')?.trim() ?? '';
      const result = await attempt(() => visit.call<ShownTrial>('POST /trusts/test', { body: { token } }));
      if ('problem' in result) return { status: result.problem.status, ...show(problemNotice(result.problem)) };
      return show(answer(result.done.body));
    },
  },
];

function show(result: VNode | undefined) {
  return {
    title: t('Test a token'),
    section: 'trusts',
    body: html`${pageHeading({
      title: t('Test a token'),
      lead: t('See what a token of a workload is accepted as, and which rule of which trust it does not meet.'),
      back: { path: '/console/trusts', label: t('Workload identities') },
    })}
    ${result}
    <div class="card">
      ${postForm(
        '/console/trusts/test',
        html`${textArea({
          name: 'token',
          label: t('Token'),
          maxlength: 16_384,
          rows: 6,
          hint: t(
            'The token is not stored, not logged and not shown again. Only keys of issuers that a trust names are fetched.',
          ),
        })}
          <p><button class="primary">${t('Test')}</button></p>`,
      )}
    </div>`,
  } satisfies Reply;
}

function answer(trial: ShownTrial): VNode {
  const { header, problem } = trial;
  const none = () => html`<span class="muted">${t('none')}</span>`;
  const moment = (at: string | null) =>
    at === null ? html`<span class="muted">${t('unknown')}</span>` : exactMoment(at);
  return html`<section class="card" aria-labelledby="tested" role="status">
      <h2 id="tested">${t('Token')} ${trial.accepted ? badge('ok', t('accepted')) : badge('bad', t('rejected'))}</h2>
      ${problem !== null && html`<p>${apiText(problem)}</p>`}
      ${facts({
        [t('Issuer')]: trial.issuer === null ? none() : html`<code>${trial.issuer}</code>`,
        [t('Key')]:
          html`${header.kid === null ? none() : html`<code>${header.kid}</code>`} ${header.alg !== null && html`<code class="fine">${header.alg}</code>`}`,
        [t('Issued')]: moment(trial.issued_at),
        [t('Expires')]: moment(trial.expires_at),
      })}
    </section>
    ${trial.trusts.map((trust, index) => checksOf(trust, `trust-${index}`))}`;
}

function checksOf(trust: ShownTrial['trusts'][number], id: string): VNode {
  return html`<section class="card" aria-labelledby=${id}>
    <h2 id=${id}>
      <a href=${`/console/trusts/${trust.trust_id}`}>${trust.name}</a> ${trust.accepted ? badge('ok', t('accepted')) : badge('bad', t('rejected'))}
    </h2>
    <p>${t('Integration')}: <a href=${clientPath(trust.client_id)}>${trust.client_name}</a></p>
    ${table({
      caption: t('Rules'),
      columns: [{ label: t('Rule') }, { label: t('Result') }, { label: t('Expected') }, { label: t('Found') }],
      rows: trust.checks.map(({ check, claim, expected, found, met }) => [
        claim === null ? t(rules[check]) : html`<code>${claim}</code>`,
        html`<span class="nowrap">${met ? badge('ok', t('met')) : badge('bad', t('not met'))}</span>`,
        html`<span lang="en" dir="ltr">${expected}</span>`,
        found === null
          ? html`<span class="muted">${t('nothing')}</span>`
          : html`<span lang="en" dir="ltr">${found}</span>`,
      ]),
    })}
  </section>`;
}
