import { randomUUID } from 'node:crypto';
import { html } from 'htm/preact';
import type { ComponentChildren, VNode } from 'preact';
import type { Found } from '../../../search/search.ts';
import { type Message, msg, t } from '../languages/translate.ts';

type Field = {
  name: string;
  label: ComponentChildren;
  hint?: ComponentChildren;
  /** Why the value was rejected. */
  error?: string | undefined;
};

/** Returns the attributes that tie a field to its hint and its error. */
function described({ name, hint, error }: Omit<Field, 'label'>) {
  const ids = [error && `error-${name}`, hint && `hint-${name}`].filter(Boolean);
  return {
    'aria-describedby': ids.length > 0 ? ids.join(' ') : undefined,
    'aria-invalid': error ? 'true' : undefined,
  };
}

/** Renders the error and the hint below a field. */
function notes({ name, hint, error }: Omit<Field, 'label'>): VNode {
  return html`${error && html`<p class="error" id=${`error-${name}`}>${error}</p>`}
    ${hint && html`<p class="hint" id=${`hint-${name}`}>${hint}</p>`}`;
}

/** Renders a single-line text field with a label above, and an error and a hint below. */
export function textField({
  name,
  label,
  hint,
  error,
  ...input
}: Field & {
  value?: string | undefined;
  type?: string;
  required?: boolean;
  maxlength?: number;
  placeholder?: string;
  autocomplete?: string;
  readonly?: boolean;
  /** Kinds of things to suggest while typing. */
  'data-pick'?: string;
  'data-expected'?: string;
}): VNode {
  return html`<div class="field">
    <label for=${`field-${name}`}>${label}</label>
    <input
      id=${`field-${name}`}
      name=${name}
      autocomplete="off"
      ...${input}
      ...${described({ name, hint, error })}
    />
    ${notes({ name, hint, error })}
  </div>`;
}

/** Renders a multi-line text field. */
export function textArea({
  name,
  label,
  hint,
  error,
  value = '',
  ...area
}: Field & {
  value?: string;
  maxlength?: number;
  rows?: number;
  readonly?: boolean;
  placeholder?: string;
  /** Kinds of things to suggest for a line while typing. */
  'data-pick'?: string;
}): VNode {
  return html`<div class="field">
    <label for=${`field-${name}`}>${label}</label>
    <textarea
      id=${`field-${name}`}
      name=${name}
      rows="4"
      spellcheck="false"
      ...${area}
      ...${described({ name, hint, error })}
    >${value}</textarea>
    ${notes({ name, hint, error })}
  </div>`;
}

export function selectField({
  name,
  label,
  hint,
  error,
  value,
  options,
}: Field & { value?: string | undefined; options: readonly (readonly [value: string, text: string])[] }): VNode {
  return html`<div class="field">
    <label for=${`field-${name}`}>${label}</label>
    <select id=${`field-${name}`} name=${name} ...${described({ name, hint, error })}>
      ${options.map(([each, text]) => html`<option value=${each} selected=${each === (value ?? '')}>${text}</option>`)}
    </select>
    ${notes({ name, hint, error })}
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
  error,
  options,
}: {
  name: string;
  label: ComponentChildren;
  value: string;
  error?: string | undefined;
  options: readonly { value: string; label: ComponentChildren; hint?: ComponentChildren }[];
}): VNode {
  return html`<fieldset class="choices" id=${`field-${name}`} role=${error && 'radiogroup'} ...${described({ name, error })}>
    <legend>${label}</legend>
    ${notes({ name, error })}
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

/** Renders a POST form. Its `once` field is an idempotency key, so a form that is sent twice takes effect once. */
export function postForm(action: string, content: ComponentChildren, className = 'stack'): VNode {
  return html`<form class=${className} method="post" action=${action}>
    <input type="hidden" name="once" value=${randomUUID()} />
    ${content}
  </form>`;
}

/** Renders the fields of a submitted form as hidden fields of the next form. */
export function hiddenFields(form: URLSearchParams): VNode[] {
  return [...form].map(([name, value]) => html`<input type="hidden" name=${name} value=${value} />`);
}

/** The options of a field, with the texts that name them. */
export type Options = readonly (readonly [value: string, text: Message])[];

/** A field that filters a list: a select field, or a text field if it has no options. */
export type Filter = {
  name: string;
  label: Message;
  options?: Options;
  /** Whether only links set the filter. */
  isHidden?: boolean;
  /** Set if the filter is a thing that is chosen by its name. */
  pick?: readonly Found['kind'][];
};

/** The orders of lists of clients, access keys and contacts. */
export const orders: Options = [
  ['', msg('Newest first')],
  ['created_at', msg('Oldest first')],
  ['name', msg('Name A–Z')],
  ['-name', msg('Name Z–A')],
];

/** The numbers of items that a page of a list can have. */
export const pageSizes: Options = [
  ['25', msg('25 per page')],
  ['50', msg('50 per page')],
  ['100', msg('100 per page')],
  ['200', msg('200 per page')],
];

/** Filter of lists of integrations and access keys by what needs attention. */
export const stateFilter: Filter = {
  name: 'state',
  label: msg('State'),
  options: [
    ['', msg('Any state')],
    ['in_grace_period', msg('In grace period')],
    ['refused', msg('Refused with an ended credential')],
    ['unused', msg('Unused for 90 days')],
    ['expiring', msg('Expiring within 14 days')],
  ],
};

/**
 * Renders search and filters above a list. They take effect with the button or Enter, so that choosing an option with
 * the arrow keys does not leave the page (WCAG 2.2, 3.2.2).
 */
export function filterForm({
  action,
  query,
  search,
  filters = [],
  more,
}: {
  action: string;
  query: Readonly<Record<string, string>>;
  search: Message;
  filters?: readonly Filter[];
  /** Further controls after the filters. */
  more?: ComponentChildren;
}): VNode {
  const shown = filters.filter(({ isHidden }) => !isHidden);
  return html`<form class="filters" method="get" action=${action} role="search">
    <div class="field grow">
      <label class="unseen" for="filter-q">${t(search)}</label>
      <input id="filter-q" type="search" name="q" maxlength="200" value=${query['q']} placeholder=${t(search)} />
    </div>
    ${filters.map(({ name, isHidden }) => isHidden && query[name] && html`<input type="hidden" name=${name} value=${query[name]} />`)}
    ${shown.length > 0 && disclosed(shown, query)}
    <button id="filter-search">${t('Search')}</button>
    ${more}
  </form>`;
}

/** Renders filters, which small screens fold behind the number of those that are set. */
function disclosed(filters: readonly Filter[], query: Readonly<Record<string, string>>): VNode {
  const count = filters.filter(({ name }) => query[name]).length;
  return html`<details class="more-filters">
    <summary>${count > 0 ? t('Filters ({count, number} set)', { count }) : t('Filters')}</summary>
    <div class="filter-fields">
    ${filters.map(({ name, label, options, pick }) => {
      const value = query[name] ?? '';
      return html`<div class="field">
        <label class="unseen" for=${`filter-${name}`}>${t(label)}</label>
        ${
          options
            ? html`<select id=${`filter-${name}`} name=${name}>
                ${options.map(([each, text]) => html`<option value=${each} selected=${each === value}>${t(text)}</option>`)}
              </select>`
            : html`<input id=${`filter-${name}`} name=${name} maxlength="300" value=${value} placeholder=${t(label)} autocomplete="off" data-pick=${pick?.join(' ')} />`
        }
      </div>`;
    })}
    </div>
  </details>`;
}
