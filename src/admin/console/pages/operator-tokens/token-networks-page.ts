import { html } from 'htm/preact';
import { type KeyturnError, NotFound } from '../../../../errors.ts';
import { t } from '../../languages/translate.ts';
import { attempt, type Page, type Reply, type ShownOperatorToken, type Visit } from '../../page.ts';
import { facts, pageHeading } from '../../parts/elements.ts';
import { readEntries } from '../../parts/entries.ts';
import { postForm } from '../../parts/forms.ts';
import {
  fillInNetworks,
  networkFact,
  networkFields,
  readNetworkForm,
  toNetworkForm,
} from '../../parts/network-fields.ts';
import { problemNotice } from '../../parts/notices.ts';
import { saveEdit } from '../../parts/save-edit.ts';

const start = '/console/operator-tokens';
const path = '/operator-tokens/:id/networks';
const route = '/operator-tokens/{id}';

/** Pages that change the networks that an operator token is accepted from. */
export const tokenNetworksPages: readonly Page[] = [
  {
    method: 'get',
    path,
    asksProof: true,
    handle: async (visit) => {
      const token = await findShownToken(visit);
      const form = new URLSearchParams();
      toNetworkForm(token, form);
      return await show(visit, token, form);
    },
  },
  {
    method: 'post',
    path,
    handle: async (visit) => {
      const { form } = visit;
      const token = await findShownToken(visit);
      const params = { id: token.id };
      if (await fillInNetworks(visit, route, params)) return await show(visit, token, form);
      const call = { params, body: readNetworkForm(form) };
      const saved = await attempt(() => saveEdit(visit, token, `PATCH ${route}`, call, start));
      if ('problem' in saved) return await show(visit, token, form, saved.problem);
      return { seeOther: start, done: 'saved', undo: saved.done };
    },
  },
];

/** Finds the operator token that a page is about. @throws {NotFound} */
export async function findShownToken(visit: Visit): Promise<ShownOperatorToken> {
  const { body } = await visit.call<{ data: ShownOperatorToken[] }>('GET /operator-tokens');
  const token = body.data.find(({ id }) => id === visit.params['id']);
  if (!token) throw new NotFound('operator token');
  return token;
}

async function show(
  visit: Visit,
  token: ShownOperatorToken,
  form: URLSearchParams,
  problem?: KeyturnError,
): Promise<Reply> {
  const title = t('Networks of {name}', { name: token.name });
  return {
    ...(problem ? { status: problem.status } : {}),
    title,
    section: 'operator-tokens',
    body: html`${pageHeading({ title, back: { path: start, label: t('Operator tokens') } })}
      ${problem && problemNotice(problem)}
      <div class="card narrow">
        ${facts({ [t('Accepted from')]: await networkFact(visit, route, { id: token.id }, token) })}
        ${postForm(
          visit.path,
          html`${networkFields(readEntries(form, problem), { canPropose: true })}
            <div class="actions"><button class="primary">${t('Save')}</button><a class="button" href=${start}>${t('Cancel')}</a></div>`,
        )}
      </div>`,
  };
}
