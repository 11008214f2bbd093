import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { t } from '../languages/translate.ts';
import type { Listed, Page, Reply, ShownAttention, ShownClient, ShownEvent, Visit } from '../page.ts';
import { attentionList } from '../parts/attention-list.ts';
import { clientPath } from '../parts/client-path.ts';
import { badge, pageHeading, permissionName } from '../parts/elements.ts';
import { eventList } from '../parts/event-sentence.ts';
import { notice } from '../parts/notices.ts';
import { sectionsFor } from '../render-document.ts';

const shownOfKind = '5';
const shownEvents = '10';

/**
 * First page after sign-in: what needs attention, the first steps, and what happened lately. Operators who may not see
 * integrations get their first section instead.
 */
export const homePage: Page = {
  method: 'get',
  path: '/',
  handle: async (visit) => {
    if (!visit.can('integrations:view')) return firstSection(visit);
    const [{ body: attention }, first, events] = await Promise.all([
      visit.call<ShownAttention>('GET /attention', { query: { limit: shownOfKind } }),
      visit.call<Listed<ShownClient>>('GET /clients', {
        query: { kind: 'integration', order: 'created_at', limit: '1' },
      }),
      visit.can('audit:view')
        ? visit.call<Listed<ShownEvent>>('GET /audit-events', { query: { limit: shownEvents } })
        : undefined,
    ]);
    return {
      title: t('Home'),
      section: 'home',
      body: html`${pageHeading({ title: t('Home') })} ${firstSteps(visit, attention.first_steps, first.body.data[0])}
        <section class="card" aria-labelledby="attention">
          <div class="card-head">
            <h2 id="attention">${t('What needs attention')}</h2>
            ${visit.operator.organizationId === null && html`<a href="/console/notices">${t('Notices')}</a>`}<a href="/console/expirations">${t('What ends soon')}</a>
          </div>
          ${attention.data.length === 0 ? notice('ok', t('Nothing needs attention.')) : attentionList(visit, attention)}
        </section>
        ${events && lately(visit, events.body.data)}`,
    };
  },
};

function firstSection({ site, operator }: Visit): Reply {
  const [first] = sectionsFor(site, operator);
  if (first) return { seeOther: first.path };
  return {
    title: t('No permissions yet'),
    body: html`<div class="narrow">
      <h1>${t('No permissions yet')}</h1>
      <p class="lead">${t('You are signed in, but you do not have permission to open any page.')}</p>
      <p>${t('Ask an operator with the permission “{permission}” for access. Then sign in again.', { permission: permissionName('contacts:manage') })}</p>
    </div>`,
  };
}

/** Renders the checklist for a new deployment, until every step is done. */
function firstSteps(
  visit: Visit,
  taken: ShownAttention['first_steps'],
  integration: ShownClient | undefined,
): VNode | null {
  const at = integration ? clientPath(integration.client_id) : '/console/integrations';
  const everyStep = [
    {
      isDone: taken.resource_server,
      isForDeployment: true,
      title: t('Register the API'),
      text: t('The resource server that receives access tokens, and the kinds of information that it offers.'),
      path: '/console/resource-servers/new',
    },
    {
      isDone: taken.integration,
      title: t('Generate a Client ID and secret'),
      text: t('For the first program that calls the API, with the permissions that it needs.'),
      path: '/console/integrations/new',
    },
    {
      isDone: taken.token,
      title: t('Try it'),
      text: t(
        'Request a token with the command that the page of the new credentials shows. “Show secret” on the page of the integration opens it again.',
      ),
      path: at,
    },
    {
      isDone: taken.rotation,
      title: t('Rotate the secret'),
      text: t('Regenerate the secret of the integration. Both secrets work until the grace period ends.'),
      path: integration ? `${at}/regenerate` : at,
    },
  ];
  const steps = everyStep.filter((step) => !step.isForDeployment || visit.operator.organizationId === null);
  const next = steps.find(({ isDone }) => !isDone);
  if (!next) return null;
  const count = steps.filter(({ isDone }) => isDone).length;
  return html`<section class="card" aria-labelledby="steps">
    <div class="card-head"><h2 id="steps">${t('First steps')}</h2><span class="muted">${t('{count, number} of {all, number} done', { count, all: steps.length })}</span></div>
    <ol class="steps">
      ${steps.map(
        (step) =>
          html`<li>
            <span class="strong">${step.title}</span> ${step.isDone && badge('ok', t('done'))}
            <span class="under">${step.text}</span>
            ${step === next && mayStart(visit, step.path) && html`<a class="button primary" href=${step.path}>${step.title}</a>`}
          </li>`,
      )}
    </ol>
  </section>`;
}

function mayStart(visit: Visit, path: string): boolean {
  return !/\/(new|regenerate)$/.test(path) || visit.can('api_key:manage');
}

function lately(visit: Visit, events: readonly ShownEvent[]): VNode {
  return html`<section class="card" aria-labelledby="lately">
    <div class="card-head"><h2 id="lately">${t('Recent activity')}</h2><a href="/console/audit">${t('Audit log')}</a></div>
    ${events.length === 0 ? html`<p class="muted">${t('Nothing yet.')}</p>` : eventList(visit, events)}
  </section>`;
}
