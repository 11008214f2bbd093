import { html } from 'htm/preact';
import { deploymentActs, guardedActs } from '../../../../approvals/approval.ts';
import type { KeyturnError } from '../../../../errors.ts';
import { deploymentOrganization } from '../../../../storage/organization-limit.ts';
import { t } from '../../languages/translate.ts';
import { attempt, type Page, type Reply, type ShownApprovalSettings, type Visit } from '../../page.ts';
import { pageHeading } from '../../parts/elements.ts';
import { entry, readEntries } from '../../parts/entries.ts';
import { checkbox, postForm, textField } from '../../parts/forms.ts';
import { problemNotice } from '../../parts/notices.ts';
import { actNames } from './approval-pages.ts';

const path = '/console/approvals/settings';

/** Pages that choose which acts need the approval of a second person. */
export const approvalSettingsPages: readonly Page[] = [
  {
    method: 'get',
    path: '/approvals/settings',
    permission: 'contacts:manage',
    asksProof: true,
    handle: async (visit) => {
      const query = { organization_id: visit.query['organization_id'] };
      const { body } = await visit.call<ShownApprovalSettings>('GET /approvals/settings', { query });
      const form = new URLSearchParams({
        reveal_hours: body.reveal_hours === null ? '' : String(body.reveal_hours),
        organization_id: visit.query['organization_id'] ?? '',
      });
      for (const act of body.acts) form.append('acts', act);
      return show(visit, form);
    },
  },
  {
    method: 'post',
    path: '/approvals/settings',
    permission: 'contacts:manage',
    handle: async (visit) => {
      const { form } = visit;
      const hours = form.get('reveal_hours')?.trim();
      const body = {
        organization_id: form.get('organization_id') || undefined,
        acts: form.getAll('acts'),
        reveal_hours: hours ? Number(hours) : null,
      };
      const result = await attempt(() => visit.call('PATCH /approvals/settings', { body }));
      if ('problem' in result) return show(visit, form, result.problem);
      const query = body.organization_id ? `?organization_id=${body.organization_id}` : '';
      return { seeOther: `${path}${query}` as `/console/${string}`, done: 'saved' };
    },
  },
];

function show(visit: Visit, form: URLSearchParams, problem?: KeyturnError): Reply {
  const organization = form.get('organization_id') ?? '';
  const isDeployment =
    visit.operator.organizationId === null && (organization === '' || organization === deploymentOrganization);
  const title = t('Settings of approvals');
  const hint = t('Hours after its generation. Leave this empty if it never needs approval; 0: always.');
  return {
    ...(problem ? { status: problem.status } : {}),
    title,
    section: 'approvals',
    body: html`${pageHeading({
      title,
      lead: isDeployment
        ? t('These settings apply to the deployment and to every organization. An organization can add to them.')
        : t('These settings add to those of the deployment.'),
      back: { path: '/console/approvals', label: t('Approvals') },
    })} ${problem && problemNotice(problem)}
      <div class="card narrow">
        ${postForm(
          path,
          html`<input type="hidden" name="organization_id" value=${organization} />
            <fieldset class="checks">
              <legend>${t('Acts that a second person has to approve')}</legend>
              ${guardedActs
                .filter((act) => isDeployment || !deploymentActs.includes(act))
                .map((act) =>
                  checkbox({
                    name: 'acts',
                    value: act,
                    label: t(actNames[act]),
                    checked: form.getAll('acts').includes(act),
                  }),
                )}
            </fieldset>
            ${textField({ ...entry(readEntries(form, problem), 'reveal_hours'), label: t('A secret can be shown again without approval for'), type: 'number', hint })}
            <div class="actions"><button class="primary">${t('Save')}</button></div>`,
        )}
      </div>`,
  };
}
