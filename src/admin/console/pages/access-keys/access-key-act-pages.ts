import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { rich, t } from '../../languages/translate.ts';
import { attempt, type Page, type ShownAccessKey, type ShownReview, type ShownUsage, type Visit } from '../../page.ts';
import { confirmedAct } from '../../parts/confirmed-act.ts';
import { exactMoment, lastUse, pageHeading } from '../../parts/elements.ts';
import { problemNotice } from '../../parts/notices.ts';
import { countUsers } from '../../parts/usage-section.ts';
import { regeneratePages } from '../regeneration/regenerate-pages.ts';
import { showAccessKey } from './access-key-parts.ts';

const path = '/access-keys/:id';

/** Pages that disable, enable, remove, reveal or regenerate an access key. */
export const accessKeyActPages: readonly Page[] = [
  ...confirmedAct({
    path: `${path}/disable`,
    permission: 'integrations:edit',
    confirm: async (visit) => {
      const key = await findKey(visit);
      return {
        title: t('Disable {name}?', { name: key.name }),
        section: 'access-keys',
        body: html`<ul class="bullets">
          <li>${t('Token requests with this key fail immediately.')}</li>
          ${await impactOfDisabling(visit)}
          <li>${rich('Last used: {at}.', { at: lastUse(key.last_used_at, visit.now) })}</li>
          <li>${t('You can enable the key again at any time. Tokens that have not expired by then work again.')}</li>
        </ul>`,
        button: t('Disable Key'),
        back: backTo(key),
      };
    },
    act: async (visit) => {
      await visit.call('POST /access-keys/{id}/disable', of(visit));
      return { seeOther: at(visit), done: 'key-disabled' };
    },
  }),
  {
    method: 'post',
    path: `${path}/enable`,
    permission: 'integrations:edit',
    handle: async (visit) => {
      await visit.call('POST /access-keys/{id}/enable', of(visit));
      return { seeOther: at(visit), done: 'enabled' };
    },
  },
  ...confirmedAct({
    path: `${path}/remove`,
    permission: 'integrations:edit',
    confirm: async (visit) => {
      const key = await findKey(visit);
      return {
        title: t('Remove {name}?', { name: key.name }),
        section: 'access-keys',
        body: html`<ul class="bullets">
          <li>${t('The key was never used, so no program fails. Its value is rejected from now on.')}</li>
          <li>${t('This cannot be undone.')}</li>
        </ul>`,
        button: t('Remove Key'),
        back: backTo(key),
      };
    },
    act: async (visit) => {
      await visit.call('DELETE /access-keys/{id}', of(visit));
      return { seeOther: '/console/access-keys', done: 'removed' };
    },
  }),
  {
    method: 'post',
    path: `${path}/reveal`,
    permission: 'api_key:manage',
    handle: async (visit) => {
      const key = await findKey(visit);
      const result = await attempt(() =>
        visit.call<{ access_key: string }>('POST /access-keys/{id}/reveal', of(visit)),
      );
      if ('problem' in result) {
        const title = t('The access key cannot be shown');
        const body = html`${pageHeading({ title, back: backTo(key) })} ${problemNotice(result.problem)}`;
        return { status: result.problem.status, title, section: 'access-keys', body };
      }
      return showAccessKey(visit, {
        title: t('Access key'),
        id: key.id,
        name: key.name,
        value: result.done.body.access_key,
        standalone: key.standalone,
        said: html`<p>${t('This is the current key. The audit log records that you viewed it.')}</p>`,
      });
    },
  },
  ...regeneratePages<{
    regeneration_id: string;
    id: string;
    access_key: string;
    previous: { retires_at: string };
  }>({
    path,
    route: '/access-keys/{id}',
    permission: 'integrations:edit',
    paramsOf: ({ params }) => ({ id: params['id'] ?? '' }),
    findOwner: async (visit) => {
      const key = await findKey(visit);
      return { name: key.name, at: `/console/access-keys/${key.id}`, section: 'access-keys', noun: 'key' };
    },
    showNew: async (visit, { regeneration_id: regeneration, id, access_key: value, previous }) => {
      const { name, standalone } = await findKey(visit);
      return showAccessKey(visit, {
        title: t('New access key'),
        id,
        name,
        value,
        standalone,
        said: html`<p>${rich('<strong>Generated.</strong> Copy the new key before you leave this page.')}</p>
          ${
            Date.parse(previous.retires_at) <= visit.core.clock()
              ? html`<p>${t('The previous key no longer works.')}</p>`
              : html`<p>${rich('The previous key works until {at}.', { at: exactMoment(previous.retires_at) })}</p>
                  <p><a href=${`/console/access-keys/${id}/regenerations/${regeneration}/undo`}>${t('Undo rotation…')}</a></p>`
          }`,
      });
    },
  }),
];

/** Says how many active tokens a key has, and how much it was used in the last 30 days. */
async function impactOfDisabling(visit: Visit): Promise<VNode> {
  const { body: usage } = await visit.call<ShownUsage>('GET /access-keys/{id}/usage', {
    ...of(visit),
    query: { hours: '720' },
  });
  const review = await attempt(() =>
    visit.call<ShownReview>('POST /access-keys/{id}/regeneration/review', { ...of(visit), body: {} }),
  );
  const live = 'done' in review ? review.done.body.impact.live_tokens : undefined;
  const tokens = usage.secrets.reduce((sum, { issued }) => sum + issued, 0);
  const sources = countUsers(usage.secrets);
  return html`<li>
      ${
        live === 0
          ? t('It has no active tokens.')
          : live === undefined
            ? t('Its active tokens are inactive while the key is disabled, so API calls with them fail.')
            : t(
                '{live, plural, one {Its # active token is inactive while the key is disabled, so API calls with it fail.} other {Its # active tokens are inactive while the key is disabled, so API calls with them fail.}}',
                { live },
              )
      }
    </li>
    <li>${t('In the last 30 days, {tokens, plural, one {# token was} other {# tokens were}} issued with it to {sources, plural, one {# source} other {# sources}}.', { tokens, sources })}</li>`;
}

async function findKey(visit: Visit): Promise<ShownAccessKey> {
  return (await visit.call<ShownAccessKey>('GET /access-keys/{id}', of(visit))).body;
}

function of({ params }: Visit) {
  return { params: { id: params['id'] } };
}

function at({ params }: Visit): `/console/${string}` {
  return `/console/access-keys/${params['id']}`;
}

function backTo({ id, name }: ShownAccessKey) {
  return { path: `/console/access-keys/${id}`, label: name };
}
