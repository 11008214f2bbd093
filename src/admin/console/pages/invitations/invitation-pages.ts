import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { permissions } from '../../../../contacts/contact.ts';
import type { KeyturnError } from '../../../../errors.ts';
import { type Message, msg, rich, t } from '../../languages/translate.ts';
import { attempt, type Page, type Reply, type ShownInvitation, type Visit } from '../../page.ts';
import { badge, copyable, emptyState, exactMoment, pageHeading, permissionLabel, table } from '../../parts/elements.ts';
import { entry, readEntries } from '../../parts/entries.ts';
import { checkbox, postForm, selectField, textField } from '../../parts/forms.ts';
import { madePage } from '../../parts/made-page.ts';
import { notice, problemNotice } from '../../parts/notices.ts';

const start = '/console/invitations';
const section = 'contacts';
const permission = 'contacts:manage';
const back = () => ({ path: start, label: t('Invitations') });

type Issued = ShownInvitation & { url: string };

const states: Record<ShownInvitation['state'], { text: Message; tone: 'ok' | 'warn' | 'plain' }> = {
  open: { text: msg('open'), tone: 'warn' },
  accepted: { text: msg('accepted'), tone: 'ok' },
  expired: { text: msg('expired'), tone: 'plain' },
};

/** Pages that invite people by a link that works once, and list, resend and withdraw invitations. */
export const invitationPages: readonly Page[] = [
  { method: 'get', path: '/invitations', permission, handle: (visit) => list(visit) },
  {
    method: 'get',
    path: '/invitations/new',
    permission,
    asksProof: true,
    handle: async (visit) => showForm(visit, new URLSearchParams(visit.query)),
  },
  {
    method: 'post',
    path: '/invitations/new',
    permission,
    handle: async (visit) => {
      const { form, once } = visit;
      const contact = form.get('contact_id');
      const person = {
        email: form.get('email')?.trim() ?? '',
        name: form.get('name')?.trim() ?? '',
        organization_id: form.get('organization_id') || undefined,
        permissions: form.getAll('permissions'),
      };
      const body = { ...(contact ? { contact_id: contact } : person), site: form.get('site') || undefined };
      const result = await attempt(() => visit.call<Issued>('POST /invitations', { body, once }));
      if ('problem' in result) return showForm(visit, form, result.problem);
      return { seeOther: `${start}/new/made/${once}` };
    },
  },
  madePage<Issued>({
    path: '/invitations/new',
    route: 'POST /invitations',
    permission,
    show: (_visit, made) => show(made),
  }),
  {
    method: 'post',
    path: '/invitations/:id/resend',
    permission,
    handle: async (visit) => {
      const { once } = visit;
      const result = await attempt(() => visit.call<Issued>('POST /invitations/{id}/resend', { ...of(visit), once }));
      if ('problem' in result) return list(visit, problemNotice(result.problem));
      return { seeOther: `${start}/${visit.params['id']}/resend/made/${once}` };
    },
  },
  madePage<Issued>({
    path: '/invitations/:id/resend',
    route: 'POST /invitations/{id}/resend',
    permission,
    params: ({ params: { id } }) => ({ id }),
    show: (_visit, made) => show(made),
  }),
  {
    method: 'post',
    path: '/invitations/:id/withdraw',
    permission,
    handle: async (visit) => {
      const result = await attempt(() => visit.call('DELETE /invitations/{id}', of(visit)));
      if ('problem' in result) return list(visit, problemNotice(result.problem));
      return { seeOther: start, done: 'invitation-withdrawn' };
    },
  },
];

function of({ params }: Visit) {
  return { params: { id: params['id'] } };
}

async function list(visit: Visit, problem?: VNode): Promise<Reply> {
  const { body } = await visit.call<{ data: ShownInvitation[] }>('GET /invitations');
  return {
    title: t('Invitations'),
    section,
    body: html`${pageHeading({
      title: t('Invitations'),
      lead: t('Links that sign people in for the first time. Each works once.'),
      actions: html`<a class="button primary" href=${`${start}/new`}>${t('Invite a person')}</a>`,
      back: { path: '/console/contacts', label: t('Contacts') },
    })}
    ${problem}
    ${
      body.data.length === 0
        ? emptyState(
            t('No invitations'),
            html`<p>${t('Invite a colleague, so that they choose how they sign in.')}</p>`,
          )
        : table({
            caption: t('Invitations, the newest first'),
            columns: [
              { label: t('Contact') },
              { label: t('State') },
              { label: t('Invited by') },
              { label: t('Works until') },
              { label: t('Act'), holdsActs: true },
            ],
            rows: body.data.map((item) => [
              html`<a class="strong" href=${`/console/contacts/${item.contact_id}`}>${item.contact_name}</a><span class="under">${item.email}</span>`,
              html`${badge(states[item.state].tone, t(states[item.state].text))}<span class="under">${item.site === 'portal' ? t('portal') : t('console')}</span>`,
              item.invited_by,
              exactMoment(item.expires_at),
              item.state === 'accepted' ? '' : acts(item),
            ]),
          })
    }`,
  };
}

function acts({ id, contact_name: name }: ShownInvitation): VNode {
  const of = html`<span class="unseen">${` ${name}`}</span>`;
  return html`<span class="actions">
    ${postForm(`${start}/${id}/resend`, html`<button>${t('Send again')}${of}</button>`, 'inline')}
    ${postForm(`${start}/${id}/withdraw`, html`<button class="danger">${t('Withdraw')}${of}</button>`, 'inline')}
  </span>`;
}

function showForm(visit: Visit, form: URLSearchParams, problem?: KeyturnError): Reply {
  const title = t('Invite a person');
  const entries = readEntries(form, problem);
  const contact = form.get('contact_id');
  return {
    ...(problem ? { status: problem.status } : {}),
    title,
    section,
    body: html`${pageHeading({ title, lead: form.get('contact_name') ?? '', back: back() })} ${problem && problemNotice(problem)}
      <div class="card narrow">
        ${postForm(
          `${start}/new`,
          html`${
            contact
              ? html`<input type="hidden" name="contact_id" value=${contact} /><input type="hidden" name="contact_name" value=${form.get('contact_name') ?? ''} />`
              : html`<input type="hidden" name="organization_id" value=${form.get('organization_id') ?? ''} />
                  ${textField({ ...entry(entries, 'name'), label: t('Name'), required: true, maxlength: 200 })}
                  ${textField({ ...entry(entries, 'email'), label: t('E-mail address'), type: 'email', required: true, maxlength: 254 })}
                  <fieldset class="checks">
                    <legend>${t('Permissions')}</legend>
                    ${permissions
                      .filter((each) => visit.can(each))
                      .map((each) =>
                        checkbox({
                          name: 'permissions',
                          value: each,
                          label: permissionLabel(each),
                          checked: form.getAll('permissions').includes(each),
                        }),
                      )}
                  </fieldset>`
          }
            ${
              visit.core.config.portalUrl !== undefined &&
              selectField({
                name: 'site',
                label: t('Signs in to'),
                value: form.get('site') ?? '',
                options: [
                  ['', t('what fits the organization')],
                  ['console', t('the console')],
                  ['portal', t('the portal')],
                ],
              })
            }
            <div class="actions"><button class="primary">${t('Invite')}</button><a class="button" href=${start}>${t('Cancel')}</a></div>`,
        )}
      </div>`,
  };
}

function show(made: Issued): Reply {
  return {
    title: t('Invitation'),
    section,
    body: html`${pageHeading({ title: t('Invitation'), lead: made.contact_name, back: back() })}
      ${notice('ok', html`<p>${rich('<strong>Invited.</strong> If this deployment has a mail server, {email} gets the link by e-mail.', { email: made.email })}</p>`)}
      <section class="card" aria-label=${t('Link')}>
        ${copyable({ id: 'invitation-link', label: t('Link'), value: made.url })}
        <p class="hint">${rich('It works once, until {time}. Pass it on only to this person: the first one who opens it is signed in as this person.', { time: exactMoment(made.expires_at) })}</p>
      </section>`,
  };
}
