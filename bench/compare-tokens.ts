import { measure } from './measure.ts';
import { createReport } from './report.ts';
import type { Target } from './target.ts';

/** Measures token requests on two targets in alternating windows and returns the medians. */
export async function compareTokens(
  limit: Target,
  target: Target,
  connections: number,
): Promise<{ ratio: number; processorMicros: number; p50Ms: number; p99Ms: number; limitP99Ms: number }> {
  const options = {
    rounds: 5,
    seconds: 1,
    connections,
    clients: 0,
    scenarios: ['token'],
    json: false,
    against: [],
    instances: 0,
  } as const;
  const { results } = createReport(await measure([limit, target], options, () => undefined), options);
  const own = results.find((result) => result.target === target.name);
  const limits = results.find((result) => result.target === limit.name);
  if (!own || !limits) throw new Error('nothing was measured');
  return {
    ratio: own.ratio.median,
    processorMicros: own.processorMicros ?? Number.NaN,
    p50Ms: own.p50Ms,
    p99Ms: own.p99Ms,
    limitP99Ms: limits.p99Ms,
  };
}
