import { html } from 'htm/preact';
import type { ComponentChildren, VNode } from 'preact';

type Field = { name: string; label: ComponentChildren; hint?: ComponentChildren };

/** Renders a single-line text field with a label above and a hint below. */
export function textField({
  name,
  label,
  hint,
  ...input
}: Field & {
  value?: string | undefined;
  type?: string;
  required?: boolean;
  maxlength?: number;
  placeholder?: string;
  autocomplete?: string;
  readonly?: boolean;
  'data-expected'?: string;
}): VNode {
  return html`<div class="field">
    <label for=${`field-${name}`}>${label}</label>
    <input
      id=${`field-${name}`}
      name=${name}
      autocomplete="off"
      ...${input}
      aria-describedby=${hint ? `hint-${name}` : undefined}
    />
    ${hint && html`<p class="hint" id=${`hint-${name}`}>${hint}</p>`}
  </div>`;
}

/** Renders a multi-line text field. */
export function textArea({
  name,
  label,
  hint,
  value = '',
  ...area
}: Field & { value?: string; maxlength?: number }): VNode {
  return html`<div class="field">
    <label for=${`field-${name}`}>${label}</label>
    <textarea
      id=${`field-${name}`}
      name=${name}
      rows="4"
      spellcheck="false"
      ...${area}
      aria-describedby=${hint ? `hint-${name}` : undefined}
    >${value}</textarea>
    ${hint && html`<p class="hint" id=${`hint-${name}`}>${hint}</p>`}
  </div>`;
}

export function selectField({
  name,
  label,
  hint,
  value,
  options,
}: Field & { value?: string | undefined; options: readonly (readonly [value: string, text: string])[] }): VNode {
  return html`<div class="field">
    <label for=${`field-${name}`}>${label}</label>
    <select id=${`field-${name}`} name=${name} aria-describedby=${hint ? `hint-${name}` : undefined}>
      ${options.map(([each, text]) => html`<option value=${each} selected=${each === (value ?? '')}>${text}</option>`)}
    </select>
    ${hint && html`<p class="hint" id=${`hint-${name}`}>${hint}</p>`}
  </div>`;
}

export function checkbox({
  name,
  label,
  hint,
  value = 'on',
  checked = false,
  disabled = false,
}: Field & { value?: string; checked?: boolean; disabled?: boolean }): VNode {
  const id = `field-${name}-${value}`;
  return html`<div class="check">
    <input
      type="checkbox"
      id=${id}
      name=${name}
      value=${value}
      checked=${checked}
      disabled=${disabled}
      aria-describedby=${hint ? `hint-${id}` : undefined}
    />
    <div>
      <label for=${id}>${label}</label>
      ${hint && html`<p class="hint" id=${`hint-${id}`}>${hint}</p>`}
    </div>
  </div>`;
}

/** Renders radio buttons, so that all options are visible. */
export function choices({
  name,
  label,
  value,
  options,
}: {
  name: string;
  label: ComponentChildren;
  value: string;
  options: readonly { value: string; label: ComponentChildren; hint?: ComponentChildren }[];
}): VNode {
  return html`<fieldset class="choices">
    <legend>${label}</legend>
    ${options.map((option) => {
      const id = `field-${name}-${option.value}`;
      return html`<div class="check">
        <input
          type="radio"
          id=${id}
          name=${name}
          value=${option.value}
          checked=${option.value === value}
          aria-describedby=${option.hint ? `hint-${id}` : undefined}
        />
        <div>
          <label for=${id}>${option.label}</label>
          ${option.hint && html`<p class="hint" id=${`hint-${id}`}>${option.hint}</p>`}
        </div>
      </div>`;
    })}
  </fieldset>`;
}
