import { html } from 'htm/preact';
import type { ComponentChildren } from 'preact';
import type { KeyturnError } from '../../../errors.ts';
import { t } from '../languages/translate.ts';
import type { Reply, Section, Visit } from '../page.ts';
import { pageHeading } from './elements.ts';
import { postForm } from './forms.ts';
import { problemNotice } from './notices.ts';

/**
 * Returns the page of a form that creates or changes one thing.
 * @param page.back the page that the heading and *Cancel* lead to.
 * @param page.revision the revision that the form changes; undefined for something new.
 * @param page.above content between the heading and the form.
 * @param page.acts further buttons after *Cancel*.
 */
export function formPage(
  visit: Visit,
  page: {
    title: string;
    section: Section;
    lead?: string;
    back: { path: string; label: string };
    problem: KeyturnError | undefined;
    revision: string | undefined;
    submit: string;
    fields: ComponentChildren;
    above?: ComponentChildren;
    acts?: ComponentChildren;
  },
): Reply {
  const { title, section, lead, back, problem, revision, submit, fields, above, acts } = page;
  return {
    ...(problem ? { status: problem.status } : {}),
    title,
    section,
    body: html`${pageHeading({ title, ...(lead === undefined ? {} : { lead }), back })} ${problem && problemNotice(problem)} ${above}
      <div class="card narrow">
        ${postForm(
          visit.path,
          html`${revision && html`<input type="hidden" name="revision" value=${revision} />`} ${fields}
            <div class="actions">
              <button class="primary">${submit}</button><a class="button" href=${back.path}>${t('Cancel')}</a>${acts}
            </div>`,
        )}
      </div>`,
  };
}
