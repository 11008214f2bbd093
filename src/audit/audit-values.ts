import { type Columns, toRow } from './audit-rows.ts';
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
      const row = toRow(columns);
      const parts = findErasedParts(row);
      if (parts) erasures.add(row, parts);
      else changed ??= row.seq;
    }
    return { changed, ...erasures.state() };
  };
}
