import { Counter, type Registry } from 'prom-client';

type Cell = { labels: Record<string, string>; count: number };

/** Counts by labels, kept as plain numbers until they are scraped. */
type Tally = {
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

/** Records durations of one kind of operation. */
export type Durations = { observe(milliseconds: number): void };

/**
 * Creates histograms in seconds that are plain numbers until they are scraped. One observation with prom-client's own
 * histogram costs more than all other counting of a request.
 * @param buckets upper bounds in seconds, ascending.
 * @param labels labels of each returned histogram, in this order.
 */
export function createDurations<const L extends readonly Record<string, string>[]>(
  { name, help, registry, buckets }: { name: string; help: string; registry: Registry; buckets: readonly number[] },
  labels: L,
): { [Index in keyof L]: Durations } {
  const histograms = labels.map((ofOne) => ({ labels: ofOne, sum: 0, counts: buckets.map(() => 0), beyond: 0 }));

  function valuesOf({ labels: ofOne, sum, counts, beyond }: (typeof histograms)[number]) {
    let count = 0;
    const bucket = (le: number | string, more: number) => {
      count += more;
      return { metricName: `${name}_bucket`, labels: { le, ...ofOne }, value: count };
    };
    return [
      ...buckets.map((le, index) => bucket(le, counts[index] ?? 0)),
      bucket('+Inf', beyond),
      { metricName: `${name}_sum`, labels: { ...ofOne }, value: sum },
      { metricName: `${name}_count`, labels: { ...ofOne }, value: count },
    ];
  }

  const get = async () => ({ name, help, type: 'histogram', values: histograms.flatMap(valuesOf), aggregator: 'sum' });
  registry.registerMetric({ name, get } as never);
  return histograms.map((histogram) => ({
    observe: (milliseconds: number) => {
      const seconds = milliseconds / 1_000;
      histogram.sum += seconds;
      for (let index = 0; index < buckets.length; index++) {
        if (seconds <= (buckets[index] as number)) {
          (histogram.counts[index] as number) += 1;
          return;
        }
      }
      histogram.beyond += 1;
    },
  })) as { [Index in keyof L]: Durations };
}
