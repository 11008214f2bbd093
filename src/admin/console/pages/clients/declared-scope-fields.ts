import { html } from 'htm/preact';
import type { VNode } from 'preact';
import type { z } from 'zod';
import { offeredScopes } from '../../../../clients/offered-scopes.ts';
import type { scopeUsage } from '../../../scope-schemas.ts';
import { rich, t } from '../../languages/translate.ts';
import type { ShownClient } from '../../page.ts';
import { clientPath } from '../../parts/client-path.ts';
import { badge } from '../../parts/elements.ts';
import { type Entries, entry } from '../../parts/entries.ts';

/** The form fields of the scopes that a resource server declares: a table with a row for each, and a few empty rows. */

type ShownScope = ShownClient['scopes'][number];
/** A declared scope as it was entered: its action may not be one. */
type DeclaredFields = Omit<ShownScope, 'action'> & { action: string | null };

/** Who used each name of the declared scopes of a resource server. */
export type ShownScopeUsage = z.output<typeof scopeUsage>;
type ShownScopeUse = ShownScopeUsage['scopes'][number];

const emptyRows = 2;
const shownUsers = 5;
const members = ['name', 'description', 'means', 'aliases', 'deprecated', 'sensitive'] as const;
type Member = (typeof members)[number];

const field = (row: number, member: Member) => `scopes.${row}.${member}`;

/** Renders the table. Every field of a row has a label of its own, and errors are shown in the row. */
export function declaredScopeFields(entries: Entries): VNode {
  const rows = Math.min(rowsOf(entries.form) + emptyRows, 500);
  return html`<fieldset class="stack">
    <legend>${t('Named scopes')}</legend>
    <p class="hint" id="hint-scopes">${rich('Scopes with names of your own, such as <code>orders.read</code> or <code>reports:export</code>. A scope that means a permission of a kind of information, such as <code>orders:read</code>, can be used in place of it. To remove a scope, clear its name. If you change a name, the previous one becomes one of the other names, so it stays valid until you remove it there. Deprecated names stay valid too, but are no longer offered to anybody who does not have them.')}</p>
    ${entries.errors.get('scopes') && html`<p class="error">${entries.errors.get('scopes')}</p>`}
    <div class="scroll">
      <table class="scopes">
        <caption class="unseen">${t('Named scopes')}</caption>
        <thead>
          <tr>
            <th scope="col">${t('Name')}</th>
            <th scope="col">${t('Description')}</th>
            <th scope="col">${t('Means')}</th>
            <th scope="col">${t('Other names')}</th>
            <th scope="col">${t('Deprecated names')}</th>
            <th scope="col">${t('Sensitive')}</th>
          </tr>
        </thead>
        <tbody>
          ${Array.from({ length: rows }, (_, row) => scopeRow(entries, row))}
        </tbody>
      </table>
    </div>
  </fieldset>`;
}

function scopeRow(entries: Entries, row: number): VNode {
  // Count only rows with a name, because the errors of the admin API count the scopes of the request.
  const isNamed = (each: number) => (entries.form.get(field(each, 'name')) ?? '').trim() !== '';
  const index = Array.from({ length: row }, (_, each) => each).filter(isNamed).length;
  const errorOf = (member: Member) => (isNamed(row) ? entries.errors.get(field(index, member)) : undefined);
  const errors = members.flatMap((member) => errorOf(member) ?? []);
  const input = (member: Member, label: string, maxlength: number, placeholder?: string) => {
    const { name, value } = entry(entries, field(row, member));
    const error = errorOf(member);
    return html`<td data-label=${label}>
      <input
        id=${`field-${name}`}
        name=${name}
        value=${value}
        maxlength=${maxlength}
        placeholder=${placeholder}
        autocomplete="off"
        aria-label=${t('Scope {row}: {label}', { row: row + 1, label })}
        aria-invalid=${error ? 'true' : undefined}
        aria-describedby=${error ? `error-scopes-${row}` : undefined}
      />
    </td>`;
  };
  return html`<tr>
      ${input('name', t('Name'), 128, row === 0 ? 'orders.read' : undefined)}
      ${input('description', t('Description'), 500)} ${input('means', t('Means'), 80, row === 0 ? 'orders:read' : undefined)}
      ${input('aliases', t('Other names'), 1_300)} ${input('deprecated', t('Deprecated names'), 1_500)}
      <td data-label=${t('Sensitive')}>
        <input type="hidden" name=${`scopes.${row}.was`} value=${entries.form.get(`scopes.${row}.was`) ?? ''} />
        <input
          type="checkbox"
          name=${field(row, 'sensitive')}
          aria-label=${t('Scope {row}: {label}', { row: row + 1, label: t('Sensitive') })}
          checked=${entries.form.has(field(row, 'sensitive'))}
        />
      </td>
    </tr>
    ${errors.length > 0 && html`<tr><td colspan="6" id=${`error-scopes-${row}`}>${errors.map((error) => html`<p class="error">${error}</p>`)}</td></tr>`}`;
}

/** Returns the number of rows of a submitted table up to the last one with a name. */
function rowsOf(form: URLSearchParams): number {
  const rows = [...form.keys()].flatMap((key) => {
    const [, row, member] = /^scopes\.(\d{1,3})\.(name|was)$/.exec(key) ?? [];
    return row !== undefined && member && form.get(key) ? [Number(row) + 1] : [];
  });
  return Math.max(0, ...rows);
}

/** Converts the submitted table to the member `scopes` of a request body. The name of a renamed scope becomes an alias. */
export function readDeclaredScopes(form: URLSearchParams): DeclaredFields[] {
  const all = Array.from({ length: rowsOf(form) }, (_, row) => {
    const text = (member: Member) => form.get(field(row, member))?.trim() ?? '';
    const means = text('means');
    const [information = '', action = ''] = means.split(':');
    const was = form.get(`scopes.${row}.was`) ?? '';
    const aliases = text('aliases').split(/\s+/).filter(Boolean);
    const isRenamed = was !== '' && was !== text('name') && !aliases.includes(was);
    return {
      name: text('name'),
      description: text('description'),
      aliases: isRenamed ? [...aliases, was] : aliases,
      information: means === '' ? null : information,
      action: means === '' ? null : action,
      deprecated: text('deprecated').split(/\s+/).filter(Boolean),
      sensitive: form.has(field(row, 'sensitive')),
    };
  });
  return all.filter(({ name }) => name !== '');
}

/** Adds the declared scopes of a resource server to the values of its form. */
export function addDeclaredScopes(form: URLSearchParams, scopes: readonly ShownScope[]): void {
  for (const [row, { name, description, aliases, deprecated, information, action, sensitive }] of scopes.entries()) {
    form.set(field(row, 'name'), name);
    form.set(`scopes.${row}.was`, name);
    form.set(field(row, 'description'), description);
    form.set(field(row, 'means'), information === null ? '' : `${information}:${action}`);
    form.set(field(row, 'aliases'), aliases.join(' '));
    form.set(field(row, 'deprecated'), deprecated.join(' '));
    if (sensitive) form.set(field(row, 'sensitive'), 'on');
  }
}

/**
 * Renders the declared scopes of a resource server with their descriptions and aliases.
 * @param usage who used each name in the last 30 days; undefined for a resource server that is not registered yet.
 */
export function declaredScopeList(scopes: readonly DeclaredFields[], usage: readonly ShownScopeUse[] = []): VNode {
  if (scopes.length === 0) return html`<span class="muted">${t('none')}</span>`;
  return html`<ul class="changes">
    ${scopes.map(({ name, description, aliases, deprecated, information, action, sensitive }) => {
      const marked = (one: string) =>
        html`<code>${one}</code>${deprecated.includes(one) && html` ${badge('plain', t('deprecated'))}`}`;
      return html`<li>
          ${marked(name)} ${sensitive && badge('warn', t('sensitive'))} ${description}${
            information !== null &&
            html` <span class="muted">${rich('(means <code>{scope}</code>)', { scope: `${information}:${action}` })}</span>`
          }${aliases.length > 0 && html` <span class="muted">${t('also')}</span>${aliases.map((alias) => html` ${marked(alias)}`)}`}
          ${usage.filter(({ scope }) => [name, ...aliases].includes(scope)).map(useOf)}
        </li>`;
    })}
  </ul>`;
}

/** Renders who used a name in the last 30 days. */
function useOf({ scope, used_by: users, used_by_others: others }: ShownScopeUse): VNode | null {
  if (users.length === 0) return null;
  const shown = users.slice(0, shownUsers);
  const more = users.length - shown.length + others;
  const names = shown.map(
    ({ client_id: id, name }, index) => html`${index > 0 && ', '}<a href=${clientPath(id)}>${name}</a>`,
  );
  const used = rich('<code>{scope}</code> used in the last 30 days by {names}', { scope, names });
  return html`<span class="under">${used}${more > 0 && html` ${t('and {count, number} more', { count: more })}`}</span>`;
}

/** Returns every scope of a resource server: generated ones, declared ones and their aliases. */
export function offeredScopesOf({
  information,
  scopes,
}: Pick<ShownClient, 'information' | 'scopes'>): readonly string[] {
  return [...offeredScopes({ information, scopes: [] }), ...scopes.flatMap(({ name, aliases }) => [name, ...aliases])];
}
