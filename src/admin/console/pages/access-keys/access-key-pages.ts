import { html } from 'htm/preact';
import type { VNode } from 'preact';
import type { KeyturnError } from '../../../../errors.ts';
import { nameTargets } from '../../../../search/name-targets.ts';
import { rich, t } from '../../languages/translate.ts';
import {
  attempt,
  type Listed,
  type Page,
  type Reply,
  type ShownAccessKey,
  type ShownRegeneration,
  type ShownUsage,
  type Visit,
} from '../../page.ts';
import { clientPath } from '../../parts/client-path.ts';
import { confirmForm } from '../../parts/confirmed-act.ts';
import { noteFacts } from '../../parts/detail-facts.ts';
import { facts, fromNow, lastUse, pageHeading, statusBadges } from '../../parts/elements.ts';
import { type Entries, readEntries } from '../../parts/entries.ts';
import { historySection } from '../../parts/event-sentence.ts';
import { postForm } from '../../parts/forms.ts';
import { fillInNetworks, networkFact } from '../../parts/network-fields.ts';
import { notice, problemNotice } from '../../parts/notices.ts';
import { saveEdit } from '../../parts/save-edit.ts';
import { countUsers, shownHours, usageSection } from '../../parts/usage-section.ts';
import { type Offer, readOffers } from '../clients/client-form.ts';
import { handoverSection } from '../regeneration/handover-pages.ts';
import { regenerationSection } from '../regeneration/regeneration-parts.ts';
import { accessKeyFields, endInForm, readAccessKeyForm, scopesOf, toAccessKeyForm } from './access-key-parts.ts';

const path = '/access-keys/:id';

/** Page of one access key: permissions, usage, regenerations and actions. */
export const accessKeyPages: readonly Page[] = [
  {
    method: 'get',
    path,
    permission: 'integrations:view',
    own: true,
    handle: async (visit) => {
      const { body: key, revision } = await findKey(visit);
      return await show(visit, key, await toAccessKeyForm(visit, key), revision);
    },
  },
  {
    method: 'post',
    path,
    permission: 'integrations:edit',
    handle: async (visit) => {
      const { form } = visit;
      const revision = form.get('revision') ?? '';
      const { body: key } = await findKey(visit);
      if (form.has('editing')) {
        form.delete('editing');
        return await show(visit, key, form, revision);
      }
      const used = new Set(key.usage.used_scope);
      const kept = new Set(form.getAll('permission'));
      const removed = scopesOf(key).filter((scope) => used.has(scope) && !kept.has(scope));
      if (await fillInNetworks(visit, '/access-keys/{id}', { id: key.id })) {
        return await show(visit, key, form, revision);
      }
      if (removed.length > 0 && !form.has('confirmed')) {
        return confirmForm(visit, {
          title: t('Remove used permissions of {name}?', { name: key.name }),
          section: 'access-keys',
          body: await impactOfRemoval(visit, key, removed),
          button: t('Save Key'),
          back: { path: `/console/access-keys/${key.id}`, label: key.name },
        });
      }
      // The form field has no seconds. Leave an unedited expiry out of the request, so that its seconds are kept.
      const sameEnd = form.get('expires_at') === endInForm(key);
      const saved = await attempt(async () => {
        const body = { ...(await readAccessKeyForm(visit)), ...(sameEnd ? { expires_at: undefined } : {}) };
        const call = { params: { id: key.id }, body, revision };
        return await saveEdit(visit, key, 'PATCH /access-keys/{id}', call, `/console/access-keys/${key.id}`);
      });
      if ('done' in saved) return { seeOther: `/console/access-keys/${key.id}`, done: 'saved', undo: saved.done };
      return await show(visit, key, form, revision, saved.problem);
    },
  },
];

async function impactOfRemoval(visit: Visit, key: ShownAccessKey, removed: readonly string[]): Promise<VNode> {
  const { body } = await visit.call<ShownUsage>('GET /access-keys/{id}/usage', {
    params: { id: key.id },
    query: { hours: '720' },
  });
  const tokens = body.secrets.reduce((sum, { issued }) => sum + issued, 0);
  const sources = countUsers(body.secrets);
  const count = removed.length;
  return html`<p>
      ${t('{count, plural, one {# permission that was used in the last 30 days is removed:} other {# permissions that were used in the last 30 days are removed:}}', { count })} <code>${removed.join(' ')}</code>
    </p>
    <ul class="bullets">
      <li>${t('{count, plural, one {Active tokens of the key lose it immediately, so calls that need it fail.} other {Active tokens of the key lose them immediately, so calls that need them fail.}}', { count })}</li>
      <li>${t('In the last 30 days, {tokens, plural, one {# token was} other {# tokens were}} issued with the key to {sources, plural, one {# source} other {# sources}}.', { tokens, sources })}</li>
      <li>${t('{count, plural, one {You can grant it again at any time.} other {You can grant them again at any time.}}', { count })}</li>
    </ul>`;
}

async function findKey(visit: Visit) {
  return await visit.call<ShownAccessKey>('GET /access-keys/{id}', { params: { id: visit.params['id'] } });
}

async function show(
  visit: Visit,
  key: ShownAccessKey,
  form: URLSearchParams,
  revision: string,
  problem?: KeyturnError,
): Promise<Reply> {
  const params = { id: key.id };
  const [offers, names, usage, regenerations] = await Promise.all([
    readOffers(visit),
    nameTargets(visit.core.database, key.clients ?? []),
    visit.call<ShownUsage>('GET /access-keys/{id}/usage', { params, query: { hours: shownHours(visit) } }),
    visit.call<Listed<ShownRegeneration>>('GET /access-keys/{id}/regenerations', { params, query: { limit: '5' } }),
  ]);
  const at = `/console/access-keys/${key.id}`;
  const mayEdit = visit.can('integrations:edit');
  return {
    ...(problem ? { status: problem.status } : {}),
    title: key.name,
    section: 'access-keys',
    body: html`${pageHeading({
      title: key.name,
      lead: statusBadges(key, visit.now),
      back: { path: `/console/contacts/${key.contact_id}`, label: key.contact_name },
    })}
    ${problem && problemNotice(problem)}
    <div class="grid two">
      <section class="card" aria-labelledby="permissions">
        <h2 id="permissions">${t('Settings')}</h2>
        ${permissions(visit, key, readEntries(form, problem), offers ?? [], revision, mayEdit)}
      </section>
      <div class="grid">${await about(visit, key, at, names)} ${reach(key)}</div>
    </div>
    ${regenerationSection(visit, { at, mayAct: mayEdit }, regenerations.body.data)}
    ${!visit.isOwnOnly && (await handoverSection(visit, { route: '/access-keys/{id}', params, at, mayAct: mayEdit }))}
    ${usageSection(visit, usage.body, regenerations.body.data)} ${await historySection(visit, key.id)} ${mayEdit && danger(visit, key, at)}`,
  };
}

function permissions(
  visit: Visit,
  key: ShownAccessKey,
  entries: Entries,
  offers: readonly Offer[],
  revision: string,
  mayEdit: boolean,
): VNode {
  const fields = accessKeyFields(visit, entries, offers, {
    isReadOnly: !mayEdit,
    canPropose: mayEdit && !visit.isOwnOnly,
    ...(key.usage.used_permissions ? { used: new Set(key.usage.used_scope) } : {}),
  });
  if (!mayEdit) return html`<div class="stack">${fields}</div>`;
  const at = `/console/access-keys/${key.id}`;
  return postForm(
    visit.path,
    html`<input type="hidden" name="revision" value=${revision} />${fields}
      <p class="hint">${t('Changes apply immediately, also to tokens that are already issued.')}</p>
      <div class="actions"><button class="primary">${t('Save Key')}</button><a class="button" href=${`${at}/regenerate`}>${t('Generate New Key…')}</a><a class="button" href=${`${at}/handover`}>${t('Hand over…')}</a></div>`,
  );
}

async function about(
  visit: Visit,
  key: ShownAccessKey,
  at: string,
  names: ReadonlyMap<string, string>,
): Promise<VNode> {
  const networks = await networkFact(visit, '/access-keys/{id}', { id: key.id }, key);
  return html`<section class="card" aria-labelledby="about">
    <h2 id="about">${t('Details')}</h2>
    ${facts({
      [t('Value')]: html`<code>${key.hint}</code>`,
      [t('Created')]: fromNow(key.created_at, visit.now),
      [t('First used')]: lastUse(key.first_used_at, visit.now),
      [t('Last used')]: lastUse(key.last_used_at, visit.now),
      [t('Expires')]: key.expires_at ? fromNow(key.expires_at, visit.now) : t('never'),
      [t('Contact')]: html`<a href=${`/console/contacts/${key.contact_id}`}>${key.contact_name}</a>`,
      [t('Works with')]: key.clients
        ? html`<ul>${key.clients.map((id) => html`<li><a href=${clientPath(id)}>${names.get(id) ?? id}</a><code class="under">${id}</code></li>`)}</ul>`
        : key.standalone
          ? t('any integration, and alone')
          : t('any integration'),
      [t('Accepted from')]: networks,
      ...(key.requests_per_minute ? { [t('Requests per minute')]: String(key.requests_per_minute) } : {}),
      ...noteFacts(key, '/console/access-keys'),
    })}
    ${
      visit.can('api_key:manage') &&
      (key.reveal
        ? postForm(`${at}/reveal`, html`<button>${t('Show key')}</button>`)
        : html`<p class="hint">${t('No copy of the key is stored, so it cannot be shown again.')}</p>`)
    }
  </section>`;
}

/** Compares granted with used permissions, to show which ones can be withdrawn safely. */
function reach({ usage, permissions, scope }: ShownAccessKey): VNode {
  const used = new Set(usage.used_scope);
  const spare = scopesOf({ permissions, scope }).filter((scope) => !used.has(scope));
  return html`<section class="card" aria-labelledby="reach">
    <h2 id="reach">${t('Granted and used permissions')}</h2>
    <dl class="numbers">
      <div><dt>${t('Granted')}</dt><dd>${usage.granted}</dd></div>
      <div><dt>${t('Used in 30 days')}</dt><dd>${usage.used}</dd></div>
    </dl>
    ${
      usage.used_permissions === null
        ? html`<p class="muted">${t('No resource server has reported the use of this key in the last 30 days. Resource servers report it when they introspect a token.')}</p>`
        : spare.length === 0
          ? notice('ok', t('All granted permissions are used.'))
          : notice(
              'plain',
              html`<p>${t('{count, plural, one {# granted permission is} other {# granted permissions are}} not used:', { count: spare.length })} <code>${spare.join(' ')}</code></p>`,
            )
    }
  </section>`;
}

function danger(visit: Visit, key: ShownAccessKey, at: string): VNode {
  return html`<section class="card" aria-labelledby="danger">
    <h2 id="danger">${t('Danger zone')}</h2>
    <div class="actions">
      ${
        key.status === 'disabled'
          ? postForm(`${at}/enable`, html`<button>${t('Enable Key')}</button>`)
          : html`<a class="button danger" href=${`${at}/disable`}>${t('Disable Key…')}</a>`
      }
      ${
        key.first_used_at
          ? html`<button type="button" class="danger" disabled aria-describedby="why-not">${t('Remove Key')}</button>`
          : html`<a class="button danger" href=${`${at}/remove`}>${t('Remove Key…')}</a>`
      }
    </div>
    ${
      key.first_used_at &&
      html`<p class="hint" id="why-not">
        ${rich('A key that was used cannot be removed, because its history must stay known. This key was last used {at}.', { at: fromNow(key.last_used_at ?? key.first_used_at, visit.now) })} ${key.status === 'enabled' && t('Disable it instead.')}
      </p>`
    }
  </section>`;
}
