import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { t } from '../languages/translate.ts';
import { attempt, type Page, type Reply } from '../page.ts';
import { pageHeading } from '../parts/elements.ts';
import { notice, problemNotice } from '../parts/notices.ts';
import type { KeptEdit } from '../parts/save-edit.ts';

/** Undoes an edit from the message that reports it. The endpoint checks the permission. */
export const undoEditPage: Page = {
  method: 'post',
  path: '/undo-edit',
  handle: async (visit) => {
    const edit = await visit.recallKept<KeptEdit>(visit.form.get('edit') ?? '');
    if (!edit)
      return refusal(
        409,
        undefined,
        notice('warn', t('An edit can be undone for ten minutes, in the session that made it.')),
      );
    const result = await attempt(() => visit.call(edit.route, edit));
    if ('done' in result) return { seeOther: edit.path, done: 'edit-undone' };
    return refusal(result.problem.status, edit.path, problemNotice(result.problem));
  },
};

function refusal(status: number, path: string | undefined, reason: VNode): Reply {
  const title = t('The edit was not undone');
  return {
    status,
    title,
    body: html`${pageHeading({ title, ...(path && { back: { path, label: t('Back') } }) })} ${reason}`,
  };
}
