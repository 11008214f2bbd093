import type { VNode } from 'preact';
import { t } from '../languages/translate.ts';
import type { Entries } from './entries.ts';
import { choices } from './forms.ts';

/** Describes a client that may rotate its own credential. */
export function selfRotationText(): string {
  return t('the program may rotate its own credential');
}

/** Renders the choice whether a client may rotate its own credential. */
export function selfRotationField(entries: Entries): VNode {
  return choices({
    name: 'self_rotation',
    label: t('Self-rotation'),
    value: entries.form.get('self_rotation') ?? 'off',
    options: [
      { value: 'off', label: t('only operators rotate the credential') },
      { value: 'on', label: selfRotationText() },
    ],
  });
}
