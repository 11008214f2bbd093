import type { VNode } from 'preact';
import type { Entries } from './entries.ts';
import { choices } from './forms.ts';

/** Describes a client that may rotate its own credential. */
export const selfRotationText = 'the program may rotate its own credential';

/** Renders the choice whether a client may rotate its own credential. */
export function selfRotationField(entries: Entries): VNode {
  return choices({
    name: 'self_rotation',
    label: 'Self-rotation',
    value: entries.form.get('self_rotation') ?? 'off',
    options: [
      { value: 'off', label: 'only operators rotate the credential' },
      { value: 'on', label: selfRotationText },
    ],
  });
}
