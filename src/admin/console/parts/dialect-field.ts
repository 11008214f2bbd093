import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { dialectNames, tokenDialects } from '../../../configuration/dialects.ts';
import { t } from '../languages/translate.ts';
import type { ShownClient } from '../page.ts';
import { type Entries, entry } from './entries.ts';
import { textField } from './forms.ts';

/** Renders the field of the dialects that are accepted of a client. */
export function dialectField(entries: Entries, kind: ShownClient['kind']): VNode {
  const names = dialectNames.filter((name) => kind === 'integration' || !tokenDialects.includes(name));
  return html`${textField({
    ...entry(entries, 'dialects'),
    label: t('Dialects'),
    hint: t(
      'Deviations of another server’s clients that are accepted of this one, separated by spaces: {names}. Leave this empty for none.',
      { names: names.join(', ') },
    ),
  })}`;
}

/** Returns the names that were entered, checked by nothing yet. */
export function readDialects(text: string): string[] {
  return text.split(/[\s,]+/).filter(Boolean);
}
