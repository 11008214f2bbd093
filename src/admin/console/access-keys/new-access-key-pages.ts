import { html } from 'htm/preact';
import type { KeyturnError } from '../../../errors.ts';
import { attempt } from '../attempt.ts';
import { readOffers } from '../clients/read-offers.ts';
import type { Page, Reply, Visit } from '../page.ts';
import { pageHeading } from '../parts/elements.ts';
import { checkbox } from '../parts/fields.ts';
import { postForm } from '../parts/forms.ts';
import { problemNotice } from '../parts/notices.ts';
import type { ShownAccessKey, ShownContact } from '../shown.ts';
import { accessKeyFields, readAccessKeyForm } from './access-key-form.ts';
import { showAccessKey } from './show-access-key.ts';

const path = '/contacts/:id/access-keys/new';

/** Create Key. */
export const newAccessKeyPages: readonly Page[] = [
  {
    method: 'get',
    path,
    permission: 'integrations:edit',
    handle: (visit) => showForm(visit, new URLSearchParams({ reveal: 'on' })),
  },
  {
    method: 'post',
    path,
    permission: 'integrations:edit',
    handle: async (visit) => {
      const { form } = visit;
      const body = { ...readAccessKeyForm(form), reveal: form.has('reveal') };
      const once = form.get('once') ?? undefined;
      const params = { id: visit.params['id'] };
      const result = await attempt(() =>
        visit.call<ShownAccessKey & { access_key: string }>('POST /contacts/{id}/access-keys', { params, body, once }),
      );
      if ('problem' in result) return await showForm(visit, form, result.problem);
      const { id, name, access_key: value, reveal } = result.done.body;
      return showAccessKey(visit, {
        title: 'Access key',
        id,
        name,
        value,
        said: html`<p><strong>Created.</strong> ${reveal ? 'Take it with you now; each later look is recorded.' : 'It is shown this once. Take it with you before you leave this page.'}</p>`,
      });
    },
  },
];

async function showForm(visit: Visit, form: URLSearchParams, problem?: KeyturnError): Promise<Reply> {
  const { body: contact } = await visit.call<ShownContact>('GET /contacts/{id}', {
    params: { id: visit.params['id'] },
  });
  const offers = (await readOffers(visit)) ?? [];
  const back = { path: `/console/contacts/${contact.id}`, label: contact.name };
  return {
    ...(problem ? { status: problem.status } : {}),
    title: `New access key for ${contact.name}`,
    section: 'contacts',
    body: html`${pageHeading({ title: `New access key for ${contact.name}`, lead: 'Its value is shown on the next page.', back })}
      ${problem && problemNotice(problem)}
      <div class="card narrow">
        ${postForm(
          visit.path,
          html`${accessKeyFields(form, offers)}
            ${
              visit.core.reveal &&
              checkbox({
                name: 'reveal',
                label: 'Keep a sealed copy of the key',
                hint: 'So that it can be looked up again by somebody with api_key:manage. Each look is in the audit log.',
                checked: form.has('reveal'),
              })
            }
            <div class="actions">
              <button class="primary">Create Key</button><a class="button" href=${back.path}>Leave it</a>
            </div>`,
        )}
      </div>`,
  };
}
