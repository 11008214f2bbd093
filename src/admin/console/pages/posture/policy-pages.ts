import { html } from 'htm/preact';
import type { VNode } from 'preact';
import type { KeyturnError } from '../../../../errors.ts';
import { type PolicyName, policiesWithDays, policyNames, policyStages } from '../../../../policies/policy.ts';
import { deploymentOrganization } from '../../../../storage/organization-limit.ts';
import { t } from '../../languages/translate.ts';
import { attempt, type Page, type Reply, type ShownPolicy, type Visit } from '../../page.ts';
import { badge, pageHeading, table } from '../../parts/elements.ts';
import { type Entries, entry, readEntries } from '../../parts/entries.ts';
import { choices, postForm, textField } from '../../parts/forms.ts';
import { problemNotice } from '../../parts/notices.ts';
import { enforcementTexts, policyTitles, stageTitles } from './policy-texts.ts';

const start = '/console/policies';
const section = 'posture';
const defaultDays: Readonly<Partial<Record<PolicyName, number>>> = { secret_age: 365, unused: 90 };

/** Pages that show the policies, and set those of the deployment. */
export const policyPages: readonly Page[] = [
  {
    method: 'get',
    path: '/policies',
    permission: 'integrations:view',
    handle: async (visit) => ({
      title: t('Policies'),
      section,
      body: html`${pageHeading({
        title: t('Policies'),
        lead: t('Rules about credentials. Each begins with a report, then warns, then is enforced.'),
        back: { path: '/console/posture', label: t('Posture') },
      })}
      ${list(visit, await readPolicies(visit))}`,
    }),
  },
  {
    method: 'get',
    path: '/policies/:name',
    permission: 'api_key:manage',
    isForDeployment: true,
    asksProof: true,
    handle: async (visit) => {
      const name = nameOf(visit);
      const policy = (await readPolicies(visit)).find((each) => isOwn(each) && each.name === name);
      const form = new URLSearchParams({
        stage: policy?.stage ?? 'off',
        days: String(policy?.days ?? defaultDays[name] ?? ''),
        grace_days: String(policy?.grace_days ?? 14),
      });
      return showForm(visit, form);
    },
  },
  {
    method: 'post',
    path: '/policies/:name',
    permission: 'api_key:manage',
    isForDeployment: true,
    handle: async (visit) => {
      const { form } = visit;
      const name = nameOf(visit);
      const number = (field: string) => (form.get(field) ? Number(form.get(field)) : undefined);
      const body = {
        stage: form.get('stage') ?? '',
        ...(policiesWithDays.includes(name) ? { days: number('days') } : {}),
        ...(name === 'secret_age' ? { grace_days: number('grace_days') } : {}),
      };
      const result = await attempt(() => visit.call('PATCH /policies/{name}', { params: { name }, body }));
      if ('problem' in result) return showForm(visit, form, result.problem);
      return { seeOther: start, done: 'saved' };
    },
  },
];

/** Returns the policy that a page is about. A name that does not exist is rejected by the endpoint. */
function nameOf({ params }: Visit): PolicyName {
  return params['name'] as PolicyName;
}

async function readPolicies(visit: Visit): Promise<ShownPolicy[]> {
  return (await visit.call<{ data: ShownPolicy[] }>('GET /policies')).body.data;
}

function isOwn({ organization_id: id }: ShownPolicy): boolean {
  return id === deploymentOrganization;
}

function list(visit: Visit, policies: readonly ShownPolicy[]): VNode {
  const maySet = visit.can('api_key:manage') && visit.operator.organizationId === null;
  return table({
    caption: t('Policies'),
    columns: [
      { label: t('Policy') },
      { label: t('Stage') },
      { label: t('Organizations') },
      { label: t('Act'), holdsActs: true },
    ],
    rows: policyNames.map((name) => {
      const policy = policies.find((each) => isOwn(each) && each.name === name);
      const others = policies.filter((each) => !isOwn(each) && each.name === name).length;
      const stage = policy?.stage ?? 'off';
      return [
        html`<span class="strong">${t(policyTitles[name], { days: policy?.days ?? defaultDays[name] ?? 0 })}</span><code class="under">${name}</code>`,
        badge(stage === 'off' ? 'plain' : stage === 'enforce' ? 'ok' : 'warn', t(stageTitles[stage])),
        others === 0 ? html`<span class="muted">${t('none of their own')}</span>` : String(others),
        maySet && html`<a class="button" href=${`${start}/${name}`}>${t('Change…')}</a>`,
      ];
    }),
  });
}

function showForm(visit: Visit, form: URLSearchParams, problem?: KeyturnError): Reply {
  const name = nameOf(visit);
  const known = policyNames.includes(name);
  const title = known ? t(policyTitles[name], { days: form.get('days') ?? '' }) : t('Policy');
  return {
    ...(problem ? { status: problem.status } : known ? {} : { status: 404 }),
    title,
    section,
    body: html`${pageHeading({ title, lead: known ? t(enforcementTexts[name]) : '', back: { path: start, label: t('Policies') } })}
      ${problem && problemNotice(problem)}
      <div class="card narrow">
        ${postForm(
          visit.path,
          html`${fields(name, readEntries(form, problem))}
            <div class="actions"><button class="primary">${t('Save')}</button><a class="button" href=${start}>${t('Cancel')}</a></div>`,
        )}
      </div>`,
  };
}

function fields(name: PolicyName, entries: Entries): VNode {
  const hints = {
    off: undefined,
    report: t('The posture shows what violates it.'),
    warn: t('Answers, reviews and the home page show it too.'),
    enforce: t('Acts that would violate it are rejected as well.'),
  };
  return html`${choices({
    ...entry(entries, 'stage'),
    label: t('Stage'),
    options: (['off', ...policyStages] as const).map((value) => ({
      value,
      label: t(stageTitles[value]),
      hint: hints[value],
    })),
  })}
  ${policiesWithDays.includes(name) && textField({ ...entry(entries, 'days'), label: t('Days'), type: 'number' })}
  ${
    name === 'secret_age' &&
    textField({
      ...entry(entries, 'grace_days'),
      label: t('Days of the grace period'),
      type: 'number',
      hint: t('From 1 to 30. Programs change to the new secret in this time.'),
    })
  }`;
}
