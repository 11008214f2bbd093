import { html } from 'htm/preact';
import type { VNode } from 'preact';
import type { Offer } from '../read-offers.ts';
import { textField } from './fields.ts';
import { permissionMatrix } from './permission-matrix.ts';

/** What an access key may do, and for how long, to be entered. */
export function accessKeyFields(
  form: URLSearchParams,
  offers: readonly Offer[],
  { used, isReadOnly = false }: { used?: ReadonlySet<string>; isReadOnly?: boolean } = {},
): VNode {
  const kinds = [...new Set(offers.flatMap(({ information }) => information))];
  const granted = new Set(form.getAll('permission'));
  return html`${textField({
    name: 'name',
    label: 'Name',
    value: form.get('name') ?? '',
    required: true,
    maxlength: 200,
    readonly: isReadOnly,
    hint: 'Unique among the keys of the contact.',
  })}
    <fieldset class="stack">
      <legend>What it may do</legend>
      ${
        kinds.length === 0 && granted.size === 0
          ? html`<p>No resource server offers anything yet. <a href="/console/resource-servers">Register one first</a>.</p>`
          : permissionMatrix({ kinds, granted, used, isReadOnly })
      }
    </fieldset>
    ${textField({
      name: 'expires_at',
      label: 'Ends at (UTC)',
      type: 'datetime-local',
      value: form.get('expires_at') ?? '',
      readonly: isReadOnly,
      hint: 'Empty: it has no end.',
    })}
    ${textField({
      name: 'clients',
      label: 'Only with these Client IDs',
      value: form.get('clients') ?? '',
      readonly: isReadOnly,
      placeholder: 'kti_…',
      hint: 'With spaces between. Empty: with any client.',
    })}`;
}
