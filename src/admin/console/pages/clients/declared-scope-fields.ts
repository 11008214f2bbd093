import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { offeredScopes } from '../../../../clients/offered-scopes.ts';
import type { ShownClient } from '../../page.ts';
import { badge } from '../../parts/elements.ts';
import { type Entries, entry } from '../../parts/entries.ts';

/** The form fields of the scopes that a resource server declares: a table with a row for each, and a few empty rows. */

type ShownScope = ShownClient['scopes'][number];
/** A declared scope as it was entered: its action may not be one. */
type DeclaredFields = Omit<ShownScope, 'action'> & { action: string | null };

const emptyRows = 2;
const members = ['name', 'description', 'means', 'aliases', 'sensitive'] as const;
type Member = (typeof members)[number];

const field = (row: number, member: Member) => `scopes.${row}.${member}`;

/** Renders the table. Every field of a row has a label of its own, and errors are shown in the row. */
export function declaredScopeFields(entries: Entries): VNode {
  const rows = Math.min(rowsOf(entries.form) + emptyRows, 500);
  return html`<fieldset class="stack">
    <legend>Named scopes</legend>
    <p class="hint" id="hint-scopes">Scopes with names of your own, such as <code>orders.read</code> or <code>reports:export</code>. A scope that means a permission of a kind of information, such as <code>orders:read</code>, can be used in place of it. To remove a scope, clear its name. If you change a name, the previous one becomes one of the other names, so it stays valid until you remove it there.</p>
    ${entries.errors.get('scopes') && html`<p class="error">${entries.errors.get('scopes')}</p>`}
    <div class="scroll">
      <table class="scopes">
        <caption class="unseen">Named scopes</caption>
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">Description</th>
            <th scope="col">Means</th>
            <th scope="col">Other names</th>
            <th scope="col">Sensitive</th>
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
    return html`<td data-label=${`${label.charAt(0).toUpperCase()}${label.slice(1)}`}>
      <input
        id=${`field-${name}`}
        name=${name}
        value=${value}
        maxlength=${maxlength}
        placeholder=${placeholder}
        autocomplete="off"
        aria-label=${`Scope ${row + 1}: ${label}`}
        aria-invalid=${error ? 'true' : undefined}
        aria-describedby=${error ? `error-scopes-${row}` : undefined}
      />
    </td>`;
  };
  return html`<tr>
      ${input('name', 'name', 128, row === 0 ? 'orders.read' : undefined)}
      ${input('description', 'description', 500)} ${input('means', 'means', 80, row === 0 ? 'orders:read' : undefined)}
      ${input('aliases', 'other names', 1_300)}
      <td data-label="Sensitive">
        <input type="hidden" name=${`scopes.${row}.was`} value=${entries.form.get(`scopes.${row}.was`) ?? ''} />
        <input
          type="checkbox"
          name=${field(row, 'sensitive')}
          aria-label=${`Scope ${row + 1}: sensitive`}
          checked=${entries.form.has(field(row, 'sensitive'))}
        />
      </td>
    </tr>
    ${errors.length > 0 && html`<tr><td colspan="5" id=${`error-scopes-${row}`}>${errors.map((error) => html`<p class="error">${error}</p>`)}</td></tr>`}`;
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
      sensitive: form.has(field(row, 'sensitive')),
    };
  });
  return all.filter(({ name }) => name !== '');
}

/** Adds the declared scopes of a resource server to the values of its form. */
export function addDeclaredScopes(form: URLSearchParams, scopes: readonly ShownScope[]): void {
  for (const [row, { name, description, aliases, information, action, sensitive }] of scopes.entries()) {
    form.set(field(row, 'name'), name);
    form.set(`scopes.${row}.was`, name);
    form.set(field(row, 'description'), description);
    form.set(field(row, 'means'), information === null ? '' : `${information}:${action}`);
    form.set(field(row, 'aliases'), aliases.join(' '));
    if (sensitive) form.set(field(row, 'sensitive'), 'on');
  }
}

/** Renders the declared scopes of a resource server with their descriptions and aliases. */
export function declaredScopeList(scopes: readonly DeclaredFields[]): VNode {
  if (scopes.length === 0) return html`<span class="muted">none</span>`;
  return html`<ul class="changes">
    ${scopes.map(
      ({ name, description, aliases, information, action, sensitive }) =>
        html`<li>
          <code>${name}</code> ${sensitive && badge('warn', 'sensitive')} ${description}${
            information !== null && html` <span class="muted">(means <code>${`${information}:${action}`}</code>)</span>`
          }${aliases.length > 0 && html` <span class="muted">also <code>${aliases.join(' ')}</code></span>`}
        </li>`,
    )}
  </ul>`;
}

/** Returns every scope of a resource server: generated ones, declared ones and their aliases. */
export function offeredScopesOf({
  information,
  scopes,
}: Pick<ShownClient, 'information' | 'scopes'>): readonly string[] {
  return [...offeredScopes({ information, scopes: [] }), ...scopes.flatMap(({ name, aliases }) => [name, ...aliases])];
}
