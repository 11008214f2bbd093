import type { Columns } from './audit-rows.ts';
import { createErasures } from './erasures.ts';
import { findErasedParts } from './personal-values.ts';

/** The state after the rows whose personal values were checked so far. */
export type AuditValuesState = {
  /** The first row whose values do not have their digests. */
  changed: number | undefined;
  /** Number of rows whose personal values were erased. */
  erased: number;
  /** First of these that no later event has erased. */
  unexplained: number | undefined;
};

/**
 * Checks that personal values have the digests which the HMACs of their rows cover.
 * @returns a function that checks the next rows, given as for `createRowsCheck`.
 */
export function createValuesCheck(): (json: string) => AuditValuesState {
  const erasures = createErasures();
  let changed: number | undefined;
  return (json) => {
    for (const columns of JSON.parse(json) as Columns[]) {
      const [seq, , actor, actor_name, address, action, target_type, target, before, after, ...rest] = columns;
      const [, , , personal, actor_salt, subject_salt] = rest;
      const values = { actor_name, address, action, target_type, target, before, after };
      const parts = findErasedParts({ ...values, personal, actor_salt, subject_salt });
      if (parts) erasures.add({ seq, actor, target_type, target, action, after }, parts);
      else changed ??= seq;
    }
    return { changed, ...erasures.state() };
  };
}
