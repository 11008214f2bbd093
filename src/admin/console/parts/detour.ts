import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { t } from '../languages/translate.ts';
import type { Visit } from '../page.ts';
import { hiddenFields } from './forms.ts';

/**
 * Detours from one form to another, such as from an integration to the resource server that it needs first. The second
 * form carries what was entered in the first one, and its result leads back.
 */

const [returnTo, kept] = ['detour_return', 'detour_kept'];

/** Paths of the forms to which a detour can lead back. Each shows the submitted fields again and changes nothing. */
const origins =
  /^\/console\/(integrations\/new|clients\/[\w.~-]{1,200}\/edit|contacts\/[\w-]{36}\/access-keys\/new|access-keys\/[\w-]{36})$/;

/**
 * Renders the button that starts a detour to the registration of a resource server, inside the first form. Enter in a
 * field presses the first button of a form, so an unseen one that sends the form comes before it.
 */
export function detourButton(visit: Visit): VNode | false {
  return (
    visit.can('api_key:manage') &&
    visit.operator.organizationId === null &&
    html`<p>
      <button class="unseen" tabindex="-1" aria-hidden="true"></button>
      <button formaction="/console/resource-servers/new" formnovalidate name=${returnTo} value=${originOf(visit)}>${t('Register a resource server first')}</button>
      <span class="hint">${t('What you entered here is kept.')}</span>
    </p>`
  );
}

/** Returns the path of the form on a page. A rejected form is shown at another path. */
function originOf({ path }: Visit): string {
  return path.replace(/^\/console\/integrations(\/review)?$/, '/console/integrations/new');
}

/** Returns the form that a detour starts with: only what leads back. Other forms are returned unchanged. */
export function beginDetour(form: URLSearchParams, initial: Record<string, string>): URLSearchParams {
  if (!form.has(returnTo) || form.has(kept)) return form;
  const first = new URLSearchParams(form);
  for (const name of [returnTo, 'once', 'operator_token']) first.delete(name);
  return new URLSearchParams({ ...initial, [returnTo]: form.get(returnTo) ?? '', [kept]: first.toString() });
}

/** Returns the query that takes a detour along in a redirect, or an empty string. */
export function detourQuery(form: URLSearchParams): string {
  const carried = [returnTo, kept].flatMap((name) => (form.has(name) ? [[name, form.get(name) ?? ''] as const] : []));
  return carried.length === 2 ? `?${new URLSearchParams(carried.map(([name, value]) => [name, value]))}` : '';
}

/** Renders the fields that take a detour along in a form. */
export function detourFields(form: URLSearchParams): VNode[] {
  return hiddenFields(new URLSearchParams([...form].filter(([name]) => name === returnTo || name === kept)));
}

/** Renders the button that leads back to the first form with what was entered, or nothing without a detour. */
export function continueDetour({ query }: Visit): VNode | undefined {
  const path = query[returnTo] ?? '';
  if (!origins.test(path)) return undefined;
  const form = new URLSearchParams(query[kept]);
  form.set('editing', 'on');
  return html`<form method="post" action=${path}>
    ${hiddenFields(form)}<button class="primary">${t('Continue with what you entered before')}</button>
  </form>`;
}
