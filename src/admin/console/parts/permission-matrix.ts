import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { actions, cellOf } from '../../../clients/declared-scopes.ts';
import { t, translate } from '../languages/translate.ts';
import { checkbox } from './forms.ts';
import { type NamedScope, scopeMarks, scopesByName } from './named-scopes.ts';

/**
 * Renders a checkbox for each pair of a kind of information and an action, and one for each scope with a name of its own.
 * Deprecated names are left out, except for granted ones.
 * @param named describes scopes with names of their own. Granted ones that it lacks are shown without a description.
 * @param offered scopes that can be selected; undefined allows all.
 * @param used scopes that resource servers reported as used; undefined hides this information.
 */
export function permissionMatrix({
  kinds,
  granted,
  named = [],
  offered,
  used,
  isReadOnly = false,
  error,
}: {
  kinds: readonly string[];
  granted: ReadonlySet<string>;
  named?: readonly NamedScope[];
  offered?: ReadonlySet<string> | undefined;
  used?: ReadonlySet<string> | undefined;
  isReadOnly?: boolean;
  /** Why the permissions were rejected. */
  error?: string | undefined;
}): VNode {
  const chosen = [...granted, ...(offered ?? [])];
  const rows = [...new Set([...kinds, ...chosen.flatMap((scope) => cellOf(scope)?.kind ?? [])])];
  const described = scopesByName(named);
  const isShown = (scope: string) =>
    (!offered || offered.has(scope)) && (granted.has(scope) || !described.get(scope)?.deprecated.includes(scope));
  const others = [...new Set([...named.map(({ name }) => name), ...chosen])].filter(
    (scope) => !cellOf(scope) && isShown(scope),
  );
  const remark = (scope: string) => {
    if (!used || !granted.has(scope)) return undefined;
    return used.has(scope)
      ? html`<span class="used">${t('used')}</span>`
      : html`<span class="unused">${t('not used')}</span>`;
  };
  return html`${error && html`<p class="error" id="field-permission">${error}</p>`}
  ${rows.length > 0 && matrix()}
  ${others.map((scope) => {
    const declared = described.get(scope);
    return checkbox({
      name: 'permission',
      value: scope,
      checked: granted.has(scope),
      disabled: isReadOnly,
      label: html`<code>${scope}</code> ${scopeMarks(scope, declared)} ${remark(scope)}`,
      hint: declared?.description,
    });
  })}`;

  function matrix(): VNode {
    return html`<div class="scroll">
    <table class="matrix">
      <caption class="unseen">${t('Permissions by kind of information')}</caption>
      <thead>
        <tr>
          <th scope="col">${t('Kind of information')}</th>
          ${actions.map((action) => html`<th scope="col">${translate(action)}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (kind) =>
            html`<tr>
              <th scope="row">${kind}</th>
              ${actions.map((action) => {
                const scope = `${kind}:${action}`;
                if (!isShown(scope)) return html`<td><span class="muted" aria-hidden="true">–</span></td>`;
                return html`<td>
                  <input
                    type="checkbox"
                    name="permission"
                    value=${scope}
                    aria-label=${`${kind}: ${translate(action)}`}
                    checked=${granted.has(scope)}
                    disabled=${isReadOnly}
                  />
                  ${scopeMarks(scope, described.get(scope))} ${remark(scope)}
                </td>`;
              })}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
  }
}
