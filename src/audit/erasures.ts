import { type PersonalPart, personTypes } from './personal-values.ts';

/** Action of the event that erases personal values. Its target is the ID of the person. */
export const eraseAction = 'audit.erase';

type Row = { seq: number; actor: string; target_type: string; target: string; action: string; after: unknown };

/** Rows whose values were erased, until the event that has erased them. */
export type Erasures = {
  /** Adds a row with the parts that were erased. */
  add(row: Row, parts: readonly PersonalPart[]): void;
  /** Returns the number of rows with erased values, and the first that no later event has erased. */
  state(): { erased: number; unexplained: number | undefined };
};

/** An event erases what its target did, what was done to it, and the other events that it lists. */
export function createErasures(): Erasures {
  let erased = 0;
  /** The first row of each person, or the row itself. */
  const waiting = new Map<string, number>();

  function expect(key: string, seq: number): void {
    if (!waiting.has(key)) waiting.set(key, seq);
  }

  return {
    add(row, parts) {
      const { seq, actor, target_type: type, target, action, after } = row;
      if (action === eraseAction) {
        const { further } = (after ?? {}) as { further?: unknown };
        for (const key of [`actor ${target}`, `target ${target}`]) waiting.delete(key);
        if (Array.isArray(further)) for (const each of further) waiting.delete(`event ${each}`);
      }
      if (parts.length === 0) return;
      erased += 1;
      if (parts.includes('actor')) expect(`actor ${actor}`, seq);
      if (parts.includes('subject')) expect(personTypes.includes(type) ? `target ${target}` : `event ${seq}`, seq);
    },
    state: () => ({ erased, unexplained: waiting.size === 0 ? undefined : Math.min(...waiting.values()) }),
  };
}
