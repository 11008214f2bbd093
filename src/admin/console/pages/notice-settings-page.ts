import { html } from 'htm/preact';
import type { KeyturnError } from '../../../errors.ts';
import { t } from '../languages/translate.ts';
import { attempt, type Page, type Reply, type ShownNoticeSettings, type Visit } from '../page.ts';
import { pageHeading } from '../parts/elements.ts';
import { postForm, selectField } from '../parts/forms.ts';
import { inLanguageOfNotices, nameOfKind } from '../parts/notice-words.ts';
import { problemNotice } from '../parts/notices.ts';

/** Pages on which kinds of notices are switched for the deployment, an organization or a contact. */
export const noticeSettingsPages: readonly Page[] = [
  {
    method: 'get',
    path: '/notices/settings',
    permission: 'contacts:manage',
    handle: (visit) => show(visit, visit.query),
  },
  {
    method: 'post',
    path: '/notices/settings',
    permission: 'contacts:manage',
    handle: async (visit) => {
      const { organization_id: organization, contact_id: contact, ...settings } = Object.fromEntries(visit.form);
      const scope = { organization_id: organization || undefined, contact_id: contact || undefined };
      const values = { on: true, off: false, default: null } as const;
      const kinds = Object.fromEntries(
        Object.entries(settings).flatMap(([kind, value]) =>
          value in values ? [[kind, values[value as keyof typeof values]]] : [],
        ),
      );
      const result = await attempt(() => visit.call('PATCH /notices/settings', { body: { ...scope, kinds } }));
      if ('problem' in result) return await show(visit, scope, result.problem);
      const query = new URLSearchParams(Object.entries(scope).flatMap(([name, id]) => (id ? [[name, id]] : [])));
      return { seeOther: `/console/notices/settings?${query}`, done: 'saved' };
    },
  },
];

async function show(
  visit: Visit,
  scope: { organization_id?: string | undefined; contact_id?: string | undefined },
  problem?: KeyturnError,
): Promise<Reply> {
  const query = { organization_id: scope.organization_id, contact_id: scope.contact_id };
  const { body } = await visit.call<ShownNoticeSettings>('GET /notices/settings', { query });
  const title = t('Notice settings');
  return {
    ...(problem ? { status: problem.status } : {}),
    title,
    section: 'home',
    body: html`${pageHeading({
      title,
      lead: t(
        'These settings apply to {name}. A setting of a contact comes first, then that of its organization, then that of the deployment.',
        { name: body.name },
      ),
      back: { path: '/console/notices', label: t('Notices') },
    })} ${problem && problemNotice(problem)}
      <div class="card narrow">
        ${postForm(
          '/console/notices/settings',
          html`<input type="hidden" name="organization_id" value=${scope.organization_id ?? ''} />
            <input type="hidden" name="contact_id" value=${scope.contact_id ?? ''} />
            ${body.data.map(({ kind, mandatory, enabled, setting }) =>
              mandatory
                ? html`<p>${inLanguageOfNotices(nameOfKind(kind))}<span class="under">${t('Always sent, because an attacker who takes over an account could otherwise hide it.')}</span></p>`
                : selectField({
                    name: kind,
                    label: inLanguageOfNotices(nameOfKind(kind)),
                    value: setting === null ? 'default' : setting ? 'on' : 'off',
                    options: [
                      ['default', setting === null && !enabled ? t('default: not sent') : t('default')],
                      ['on', t('sent')],
                      ['off', t('not sent')],
                    ],
                  }),
            )}
            <div class="actions"><button class="primary">${t('Save')}</button></div>`,
        )}
      </div>`,
  };
}
