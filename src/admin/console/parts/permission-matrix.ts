import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { actions } from '../../../clients/client.ts';

/**
 * Renders a checkbox for each pair of a kind of information and an action.
 * @param offered scopes that can be selected; undefined allows all.
 * @param used scopes that resource servers reported as used; undefined hides this information.
 */
export function permissionMatrix({
  kinds,
  granted,
  offered,
  used,
  isReadOnly = false,
  error,
}: {
  kinds: readonly string[];
  granted: ReadonlySet<string>;
  offered?: ReadonlySet<string> | undefined;
  used?: ReadonlySet<string> | undefined;
  isReadOnly?: boolean;
  /** Why the permissions were rejected. */
  error?: string | undefined;
}): VNode {
  const rows = [...new Set([...kinds, ...[...granted, ...(offered ?? [])].map((scope) => scope.split(':')[0] ?? '')])];
  const remark = (scope: string) => {
    if (!used || !granted.has(scope)) return undefined;
    return used.has(scope) ? html`<span class="used">used</span>` : html`<span class="unused">not used</span>`;
  };
  return html`${error && html`<p class="error" id="field-permission">${error}</p>`}
  <div class="scroll">
    <table class="matrix">
      <caption class="unseen">Permissions by kind of information</caption>
      <thead>
        <tr>
          <th scope="col">Kind of information</th>
          ${actions.map((action) => html`<th scope="col">${action}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (kind) =>
            html`<tr>
              <th scope="row">${kind}</th>
              ${actions.map((action) => {
                const scope = `${kind}:${action}`;
                if (offered && !offered.has(scope))
                  return html`<td><span class="muted" aria-hidden="true">–</span></td>`;
                return html`<td>
                  <input
                    type="checkbox"
                    name="permission"
                    value=${scope}
                    aria-label=${`${kind}: ${action}`}
                    checked=${granted.has(scope)}
                    disabled=${isReadOnly}
                  />
                  ${remark(scope)}
                </td>`;
              })}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}
