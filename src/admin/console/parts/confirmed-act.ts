import { html } from 'htm/preact';
import type { ComponentChildren, VNode } from 'preact';
import type { Permission } from '../../../contacts/contact.ts';
import { InvalidInput, type KeyturnError } from '../../../errors.ts';
import { rich, t } from '../languages/translate.ts';
import { attempt, type Page, type Reply, type Section, type Visit } from '../page.ts';
import { pageHeading } from './elements.ts';
import { errorsOf } from './entries.ts';
import { hiddenFields, postForm, textField } from './forms.ts';
import { problemNotice } from './notices.ts';

/** The content of the page that asks for confirmation before a destructive action. */
export type Confirmation = {
  title: string;
  section: Section;
  /** Describes the effects of the action. */
  body: VNode;
  /** The label of the button. Undefined: there is nothing to do. */
  button?: string;
  /** The name to type for confirmation. If undefined, the button alone confirms. */
  name?: string;
  /** Fields that are sent with the confirmation, such as which of several things is meant. */
  fields?: URLSearchParams;
  back: { path: string; label: string };
};

/** Creates two pages at one path: GET asks for confirmation, POST performs the action. */
export function confirmedAct({
  path,
  permission,
  asksProof = false,
  confirm,
  act,
}: {
  path: string;
  permission?: Permission;
  asksProof?: boolean;
  confirm(visit: Visit): Promise<Confirmation>;
  act(visit: Visit): Promise<Reply>;
}): Page[] {
  const access = permission === undefined ? {} : { permission };
  return [
    { ...access, method: 'get', path, asksProof, handle: async (visit) => show(visit, await confirm(visit)) },
    {
      ...access,
      method: 'post',
      path,
      handle: async (visit) => {
        const confirmation = await confirm(visit);
        const typed = visit.form.get('name')?.trim();
        if (confirmation.name !== undefined && typed !== confirmation.name.trim()) {
          const message = t('The name that you typed does not match “{name}”.', { name: confirmation.name });
          return show(visit, confirmation, new InvalidInput(message, [{ path: 'name', message }]));
        }
        const result = await attempt(() => act(visit));
        return 'problem' in result ? show(visit, confirmation, result.problem) : result.done;
      },
    },
  ];
}

function show(visit: Visit, confirmation: Confirmation, problem?: KeyturnError): Reply {
  const { title, section, body, button, name, fields, back } = confirmation;
  const form: ComponentChildren = html`${fields && hiddenFields(fields)}${name !== undefined && nameField(name, problem && errorsOf(problem).get('name'))}
    <div class="actions">
      ${button !== undefined && html`<button class="danger">${button}</button>`}
      <a class="button" href=${back.path}>${button === undefined ? t('Back') : t('Cancel')}</a>
    </div>`;
  return {
    ...(problem ? { status: problem.status } : {}),
    title,
    section,
    body: html`${pageHeading({ title, back })} ${problem && problemNotice(problem)}
      <div class="card stack narrow">${body} ${postForm(visit.path, form)}</div>`,
  };
}

/**
 * Asks for confirmation of a form that has been filled in. Its fields are kept; it arrives again with `confirmed`, or
 * with `editing` to show the form once more.
 */
export function confirmForm(visit: Visit, { title, section, body, button, back }: Omit<Confirmation, 'name'>): Reply {
  return {
    title,
    section,
    body: html`${pageHeading({ title, lead: t('Nothing has been changed yet.'), back })}
      <div class="card stack narrow">
        ${body}
        <form method="post" action=${visit.path} class="actions">
          ${hiddenFields(visit.form)}<button class="danger" name="confirmed" value="on">${button}</button>
          <button name="editing" value="on">${t('Edit')}</button><a class="button" href=${back.path}>${t('Cancel')}</a>
        </form>
      </div>`,
  };
}

/** Renders a field in which the operator types a name to confirm, so that a wrong client or contact is noticed. */
export function nameField(name: string, error?: string): VNode {
  return textField({
    name: 'name',
    label: rich('Type <strong>{name}</strong> to confirm', { name }),
    error,
    'data-expected': name.trim(),
  });
}
