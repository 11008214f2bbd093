import { cpus } from 'node:os';
import type { Window } from './measure.ts';
import { comparedWith, type Options, type Scenario, scenarios } from './options.ts';

/** Lowest, median and highest value of the rounds. */
export type Spread = { min: number; median: number; max: number };

export type Result = {
  target: string;
  scenario: Scenario;
  perSecond: Spread;
  /** Ratio to the reference server's rate in the same round and scenario, or in the one of `comparedWith`. */
  ratio: Spread;
  p50Ms: number;
  p99Ms: number;
  /**
   * The reference server's processor time per answer divided by this one's: the ratio that other load disturbs least.
   */
  processorRatio: number | undefined;
  processorMicros: number | undefined;
};

/** The date and the machine of a measurement. */
export type Machine = { at: string; node: string; processor: string };

export type Report = Machine & {
  options: Options;
  results: Result[];
};

/** Compares each window with the reference server's of the same round and scenario. */
export function createReport(windows: readonly Window[], options: Options): Report {
  const names = [...new Set(windows.map(({ target }) => target))];
  const results: Result[] = [];
  for (const scenario of scenarios) {
    for (const target of names) {
      const own = windows.filter((window) => window.target === target && window.scenario === scenario);
      if (own.length === 0) continue;
      const compared = comparedWith[scenario] ?? scenario;
      const limits = windows.filter((window) => window.target === 'limit' && window.scenario === compared);
      const ratios = own.map(({ round, perSecond }) => {
        const limit = limits.find((window) => window.round === round);
        return perSecond / (limit?.perSecond ?? Number.NaN);
      });
      const processor = median(own.map(({ processorMicros }) => processorMicros ?? Number.NaN));
      const limitProcessor = median(limits.map(({ processorMicros }) => processorMicros ?? Number.NaN));
      results.push({
        target,
        scenario,
        perSecond: spread(own.map(({ perSecond }) => perSecond)),
        ratio: spread(ratios),
        p50Ms: median(own.map(({ p50Ms }) => p50Ms)),
        p99Ms: median(own.map(({ p99Ms }) => p99Ms)),
        processorRatio: orUndefined(limitProcessor / processor),
        processorMicros: orUndefined(processor),
      });
    }
  }
  return { ...describeMachine(), options, results };
}

export function describeMachine(): Machine {
  return {
    at: new Date().toISOString(),
    node: process.version,
    processor: `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}`,
  };
}

/** Formats the report as a table for a terminal. */
export function presentReport({ results }: Report): string {
  const lines = [
    row(['', 'to limit: median', 'min', 'max', 'per second', 'p50 ms', 'p99 ms', 'CPU µs', 'by CPU time']),
    ...results.map((result) =>
      row([
        `${result.scenario}: ${result.target}`,
        result.ratio.median.toFixed(2),
        result.ratio.min.toFixed(2),
        result.ratio.max.toFixed(2),
        result.perSecond.median.toFixed(0),
        result.p50Ms.toFixed(2),
        result.p99Ms.toFixed(2),
        result.processorMicros?.toFixed(0) ?? '-',
        result.processorRatio?.toFixed(2) ?? '-',
      ]),
    ),
  ];
  return lines.join('\n');
}

function row([first = '', ...rest]: readonly string[]): string {
  return first.padEnd(46) + rest.map((cell, index) => cell.padStart(index === 0 ? 17 : 12)).join('');
}

function spread(values: readonly number[]): Spread {
  return { min: Math.min(...values), median: median(values), max: Math.max(...values) };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return sorted.length % 2 === 1
    ? (sorted[Math.floor(middle)] ?? Number.NaN)
    : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
}

function orUndefined(value: number): number | undefined {
  return Number.isNaN(value) ? undefined : value;
}
