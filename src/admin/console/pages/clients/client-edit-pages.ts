import { html } from 'htm/preact';
import type { VNode } from 'preact';
import type { z } from 'zod';
import type { KeyturnError } from '../../../../errors.ts';
import type { scopeReview } from '../../../scope-schemas.ts';
import { linkTo, rich, t } from '../../languages/translate.ts';
import { attempt, type Page, type Reply, type ShownClient, type Visit } from '../../page.ts';
import { clientPath } from '../../parts/client-path.ts';
import { confirmForm } from '../../parts/confirmed-act.ts';
import { detailFields, ownerOf, readDetailForm } from '../../parts/detail-fields.ts';
import { lastUse } from '../../parts/elements.ts';
import { readEntries } from '../../parts/entries.ts';
import { formPage } from '../../parts/form-page.ts';
import { fillInNetworks } from '../../parts/network-fields.ts';
import { saveEdit } from '../../parts/save-edit.ts';
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
      if (await fillInNetworks(visit, '/clients/{client_id}', params)) {
        form.set('proposed', 'on');
        return await showForm(visit, client, form, revision);
      }
      if (form.has('editing')) {
        form.delete('editing');
        form.delete('confirmation');
        return await showForm(visit, client, form, revision);
      }
      const removed = removedScopes(client, fields['scope']);
      if (client.last_used_at && removed.length > 0 && !form.has('confirmed')) {
        return confirmForm(visit, {
          title: t('Remove permissions of {name}?', { name: client.name }),
          section: sectionOf(client),
          body: await impactOfRemoval(visit, client, removed),
          button: t('Save'),
          back: { path: clientPath(client.client_id), label: client.name },
        });
      }
      const result = await attempt(async () => {
        const rest =
          client.kind === 'integration'
            ? { resource: form.get('resource') || null }
            : { confirmation: form.get('confirmation') ?? undefined };
        const body = { ...fields, ...(await readDetailForm(visit)), ...rest };
        const call = { params, body, revision };
        return await saveEdit(visit, client, 'PATCH /clients/{client_id}', call, clientPath(client.client_id));
      });
      if ('problem' in result) {
        const review = reviewOfScopes(result.problem);
        if (!review) return await showForm(visit, client, form, revision, result.problem);
        form.set('confirmation', review.confirmation);
        return confirmForm(visit, {
          title: t('Change scopes of {name}?', { name: client.name }),
          section: sectionOf(client),
          body: impactOnScopes(visit, review),
          button: t('Save'),
          back: { path: clientPath(client.client_id), label: client.name },
        });
      }
      return { seeOther: clientPath(client.client_id), done: 'saved', undo: result.done };
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
        html`<p>${t('Used in the last 30 days by:')}</p>
        <ul class="bullets">
          ${users.map(
            ({ client_id: id, name, last_used_at: at }) =>
              html`<li>${rich('<a>{name}</a>, last {at}', { name, a: linkTo(clientPath(id)), at: lastUse(new Date(at).toISOString(), visit.now) })}</li>`,
          )}
          ${others > 0 && html`<li>${t('{count, number} more', { count: others })}</li>`}
        </ul>`
      }`;
  })}`;
}

function effectOn({ effect, replaced_by: successor, held_by: held }: ScopeImpact): VNode {
  if (effect === 'deprecated') {
    return rich(
      'The name becomes deprecated. It stays valid for those who have it, and is no longer offered to others.',
    );
  }
  const rejected = rich(
    'Token requests that name it are rejected (<code>invalid_scope</code>), and active tokens lose it immediately. To keep the name valid, add it to the other names of its scope.',
  );
  if (effect === 'removed') {
    return successor === null
      ? html`${t('The name is no longer offered.')} ${rejected}`
      : html`${rich('The name is no longer offered; <code>{successor}</code> is.', { successor })} ${rejected}`;
  }
  const values = { successor, clients: held.clients, keys: held.access_keys };
  return html`${rich('The scope is renamed to <code>{successor}</code>. {clients, plural, one {# integration} other {# integrations}} and {keys, plural, one {# access key} other {# access keys}} with the previous name get the new one.', values)} ${rejected}`;
}

function removedScopes({ kind, scope }: ShownClient, given: unknown): string[] {
  if (kind !== 'integration') return [];
  const kept = new Set(String(given).split(' '));
  return scope.split(' ').filter((each) => each !== '' && !kept.has(each));
}

async function impactOfRemoval(visit: Visit, client: ShownClient, removed: readonly string[]): Promise<VNode> {
  const live = await countLiveTokens(visit);
  const count = removed.length;
  return html`<p>${t('{count, plural, one {# permission is} other {# permissions are}} removed:', { count })} <code>${removed.join(' ')}</code></p>
    <ul class="bullets">
      <li>${rich('The integration was last used {at}.', { at: lastUse(client.last_used_at, visit.now) })}</li>
      ${await recentUse(visit)}
      <li>${live === 0 ? t('It has no active tokens now.') : lostByTokens(live, count)}</li>
      <li>${rich('{count, plural, one {Token requests that name it are} other {Token requests that name one of them are}} rejected (<code>invalid_scope</code>). Token requests without a scope succeed.', { count })}</li>
      <li>${t('{count, plural, one {You can grant it again at any time. Tokens that have not expired by then have it again.} other {You can grant them again at any time. Tokens that have not expired by then have them again.}}', { count })}</li>
    </ul>`;
}

function lostByTokens(live: number | undefined, count: number): string {
  if (live === undefined) {
    return t(
      '{count, plural, one {Its active tokens lose this permission immediately, as far as they have it, so calls that need it fail.} other {Its active tokens lose these permissions immediately, as far as they have them, so calls that need them fail.}}',
      { count },
    );
  }
  return t(
    '{live, plural, one {{count, plural, one {Its # active token loses this permission immediately, as far as it has it, so calls that need it fail.} other {Its # active token loses these permissions immediately, as far as it has them, so calls that need them fail.}}} other {{count, plural, one {Its # active tokens lose this permission immediately, as far as they have it, so calls that need it fail.} other {Its # active tokens lose these permissions immediately, as far as they have them, so calls that need them fail.}}}}',
    { live, count },
  );
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
      ? integrationFields(visit, entries, await readOffers(visit, client.organization_id))
      : resourceServerFields(entries);
  return formPage(visit, {
    title: t('Edit {name}', { name: client.name }),
    section: sectionOf(client),
    lead: t('Changed permissions apply immediately, also to tokens that are already issued.'),
    back,
    problem,
    revision,
    submit: t('Save'),
    fields: html`${fields} ${detailFields(visit, entries, client.kind, { canPropose: true })}`,
  });
}
