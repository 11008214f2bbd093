/**
 * Numbers of changes that were assigned but not visible when a later number was. Their transaction is still open, or it
 * was rolled back and they never appear.
 */
export type ChangeGaps = {
  isEmpty(): boolean;
  has(seq: number): boolean;
  /** Returns the lowest missing number. */
  first(): number | undefined;
  /** Returns the missing numbers as inclusive ranges in ascending order. */
  ranges(): { from: number; to: number }[];
  /** Adds a range above all others. Does nothing if it is empty. */
  add(from: number, to: number): void;
  remove(found: readonly { seq: number }[]): void;
  /**
   * Removes ranges none of whose possible writers is still open.
   * @param writers the transactions that were open at a time after which all ranges were read again.
   */
  close(writers: ReadonlySet<string>): void;
  clear(): void;
};

/**
 * A range of missing numbers. @property writers the transactions that may still commit rows of it; undefined before the
 * first check.
 */
type Gap = { from: number; to: number; writers?: ReadonlySet<string> | undefined };

export function createChangeGaps(): ChangeGaps {
  let gaps: Gap[] = [];

  return {
    isEmpty: () => gaps.length === 0,
    has: (seq) => gaps.some(({ from, to }) => from <= seq && seq <= to),
    first: () => gaps[0]?.from,
    ranges: () => gaps.map(({ from, to }) => ({ from, to })),
    add: (from, to) => {
      if (from <= to) gaps.push({ from, to });
    },
    remove: (found) => {
      if (found.length === 0) return;
      const seqs = found.map(({ seq }) => seq).sort((a, b) => a - b);
      let next = 0;
      gaps = gaps.flatMap((gap) => {
        const left: Gap[] = [];
        let { from } = gap;
        for (; next < seqs.length && (seqs[next] as number) <= gap.to; next += 1) {
          const seq = seqs[next] as number;
          if (from < seq) left.push({ ...gap, from, to: seq - 1 });
          from = seq + 1;
        }
        if (from <= gap.to) left.push({ ...gap, from });
        return left;
      });
    },
    close: (writers) => {
      gaps = gaps.flatMap((gap) => {
        const open = gap.writers ? gap.writers.intersection(writers) : writers;
        return open.size > 0 ? [{ ...gap, writers: open }] : [];
      });
    },
    clear: () => {
      gaps = [];
    },
  };
}
