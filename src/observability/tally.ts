import { Counter, type Registry } from 'prom-client';

type Cell = { labels: Record<string, string>; count: number };

/** Counts by labels, kept as plain numbers until they are scraped. */
export type Tally = {
  add(by: number, ...values: string[]): void;
  /** Returns the count for these label values, for callers that add so often that a lookup would cost too much. */
  cell(...values: string[]): Pick<Cell, 'count'>;
};

export function createTally(
  labelNames: string[],
  options: { name: string; help: string; registers: Registry[] },
): Tally {
  const cells = new Map<string, Cell>();
  new Counter({
    ...options,
    labelNames,
    collect() {
      this.reset();
      for (const { labels, count } of cells.values()) this.inc(labels, count);
    },
  });

  function cellOf(values: readonly string[]): Cell {
    const key = values.join('\n');
    let cell = cells.get(key);
    if (!cell) {
      cell = { labels: Object.fromEntries(labelNames.map((name, index) => [name, values[index] ?? ''])), count: 0 };
      cells.set(key, cell);
    }
    return cell;
  }

  return {
    add: (by, ...values) => {
      cellOf(values).count += by;
    },
    cell: (...values) => cellOf(values),
  };
}
