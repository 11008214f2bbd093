import { html } from 'htm/preact';
import type { VNode } from 'preact';
import type { z } from 'zod';
import type { KeyturnError } from '../../../../errors.ts';
import { countOf } from '../../../../text/count-text.ts';
import type { scopeReview } from '../../../scope-schemas.ts';
import { attempt, type Page, type Reply, type ShownClient, type Visit } from '../../page.ts';
import { clientPath } from '../../parts/client-path.ts';
import { confirmForm } from '../../parts/confirmed-act.ts';
import { detailFields, ownerOf, readDetailForm } from '../../parts/detail-fields.ts';
import { lastUse, pageHeading } from '../../parts/elements.ts';
import { readEntries } from '../../parts/entries.ts';
import { postForm } from '../../parts/forms.ts';
import { problemNotice } from '../../parts/notices.ts';
import { countLiveTokens, recentUse } from './client-act-pages.ts';
import { integrationFields, readClientForm, readOffers, resourceServerFields, toClientForm } from './client-form.ts';
import { sectionOf } from './client-page.ts';

const path = '/clients/:client_id/edit';

/** Pages that change a client. Its Client ID and secrets stay the same. */
export const clientEditPages: readonly Page[] = [
  {
    method: 'get',
    path,
    permission: 'integrations:edit',
    asksProof: true,
    handle: async (visit) => {
      const { body: client, revision } = await findClient(visit);
      return await showForm(visit, client, toClientForm(client, await ownerOf(visit, client)), revision);
    },
  },
  {
    method: 'post',
    path,
    permission: 'integrations:edit',
    handle: async (visit) => {
      const { body: client } = await findClient(visit);
      const { form } = visit;
      const fields = readClientForm(client.kind, form);
      const revision = form.get('revision') ?? '';
      const params = { client_id: client.client_id };
      if (form.has('editing')) {
        form.delete('editing');
        form.delete('confirmation');
        return await showForm(visit, client, form, revision);
      }
      const removed = removedScopes(client, fields['scope']);
      if (client.last_used_at && removed.length > 0 && !form.has('confirmed')) {
        return confirmForm(visit, {
          title: `Remove permissions of ${client.name}?`,
          section: sectionOf(client),
          body: await impactOfRemoval(visit, client, removed),
          button: 'Save',
          back: { path: clientPath(client.client_id), label: client.name },
        });
      }
      const result = await attempt(async () => {
        const rest =
          client.kind === 'integration'
            ? { resource: form.get('resource') || null }
            : { confirmation: form.get('confirmation') ?? undefined };
        const body = { ...fields, ...(await readDetailForm(visit)), ...rest };
        return visit.call('PATCH /clients/{client_id}', { params, body, revision });
      });
      if ('problem' in result) {
        const review = reviewOfScopes(result.problem);
        if (!review) return await showForm(visit, client, form, revision, result.problem);
        form.set('confirmation', review.confirmation);
        return confirmForm(visit, {
          title: `Change scopes of ${client.name}?`,
          section: sectionOf(client),
          body: impactOnScopes(visit, review),
          button: 'Save',
          back: { path: clientPath(client.client_id), label: client.name },
        });
      }
      return { seeOther: clientPath(client.client_id), done: 'saved' };
    },
  },
];

type ScopeReview = z.output<typeof scopeReview>;

/** Returns the review that a change of named scopes needs, or undefined if it was rejected for another reason. */
function reviewOfScopes({ code, extension }: KeyturnError): ScopeReview | undefined {
  const review = extension?.['review'] as ScopeReview | undefined;
  return code === 'confirmation_required' && review?.impact.scopes ? review : undefined;
}

type ScopeImpact = ScopeReview['impact']['scopes'][number];

function impactOnScopes(visit: Visit, { impact }: ScopeReview): VNode {
  return html`${impact.scopes.map((each) => {
    const { scope, used_by: users, used_by_others: others } = each;
    return html`<h2><code>${scope}</code></h2>
      <p>${effectOn(each)}</p>
      ${
        users.length > 0 &&
        html`<p>Used in the last 30 days by:</p>
        <ul class="bullets">
          ${users.map(
            ({ client_id: id, name, last_used_at: at }) =>
              html`<li><a href=${clientPath(id)}>${name}</a>, last ${lastUse(new Date(at).toISOString(), visit.now)}</li>`,
          )}
          ${others > 0 && html`<li>${others} more</li>`}
        </ul>`
      }`;
  })}`;
}

function effectOn({ effect, replaced_by: successor, held_by: held }: ScopeImpact): VNode {
  if (effect === 'deprecated') {
    return html`The name becomes deprecated. It stays valid for those who have it, and is no longer offered to others.`;
  }
  const rejected = html`Token requests that name it are rejected (<code>invalid_scope</code>), and active tokens lose it immediately. To keep the name valid, add it to the other names of its scope.`;
  if (effect === 'removed') {
    return html`The name is no longer offered${successor !== null && html`; <code>${successor}</code> is`}. ${rejected}`;
  }
  const holders = [countOf(held.clients, 'integration'), countOf(held.access_keys, 'access key')].join(' and ');
  return html`The scope is renamed to <code>${successor}</code>. ${`${holders} with the previous name`} get the new one. ${rejected}`;
}

function removedScopes({ kind, scope }: ShownClient, given: unknown): string[] {
  if (kind !== 'integration') return [];
  const kept = new Set(String(given).split(' '));
  return scope.split(' ').filter((each) => each !== '' && !kept.has(each));
}

async function impactOfRemoval(visit: Visit, client: ShownClient, removed: readonly string[]): Promise<VNode> {
  const live = await countLiveTokens(visit);
  const them = removed.length === 1 ? 'this permission' : 'these permissions';
  return html`<p>${`${removed.length === 1 ? '1 permission is' : `${removed.length} permissions are`} removed:`} <code>${removed.join(' ')}</code></p>
    <ul class="bullets">
      <li>The integration was last used ${lastUse(client.last_used_at, visit.now)}.</li>
      ${await recentUse(visit)}
      <li>${live === 0 ? 'It has no active tokens now.' : `${live === undefined ? 'Its active tokens lose' : live === 1 ? 'Its 1 active token loses' : `Its ${live} active tokens lose`} ${them} immediately, as far as ${live === 1 ? 'it has' : 'they have'} ${removed.length === 1 ? 'it' : 'them'}, so calls that need ${removed.length === 1 ? 'it' : 'them'} fail.`}</li>
      <li>Token requests that name ${removed.length === 1 ? 'it' : 'one of them'} are rejected (<code>invalid_scope</code>). Token requests without a scope succeed.</li>
      <li>You can grant ${removed.length === 1 ? 'it' : 'them'} again at any time. Tokens that have not expired by then have ${removed.length === 1 ? 'it' : 'them'} again.</li>
    </ul>`;
}

async function findClient(visit: Visit) {
  const params = { client_id: visit.params['client_id'] };
  return await visit.call<ShownClient>('GET /clients/{client_id}', { params });
}

async function showForm(
  visit: Visit,
  client: ShownClient,
  form: URLSearchParams,
  revision: string,
  problem?: KeyturnError,
): Promise<Reply> {
  const back = { path: clientPath(client.client_id), label: client.name };
  const entries = readEntries(form, problem);
  const fields =
    client.kind === 'integration'
      ? integrationFields(visit, entries, await readOffers(visit))
      : resourceServerFields(entries);
  return {
    ...(problem ? { status: problem.status } : {}),
    title: `Edit ${client.name}`,
    section: sectionOf(client),
    body: html`${pageHeading({ title: `Edit ${client.name}`, lead: 'Changed permissions apply immediately, also to tokens that are already issued.', back })}
      ${problem && problemNotice(problem)}
      <div class="card narrow">
        ${postForm(
          visit.path,
          html`<input type="hidden" name="revision" value=${revision} />${fields}
            ${detailFields(visit, entries, client.kind)}
            <div class="actions">
              <button class="primary">Save</button><a class="button" href=${back.path}>Cancel</a>
            </div>`,
        )}
      </div>`,
  };
}
