import { AggregatorRegistry, type MetricObjectWithValues, type Registry } from 'prom-client';

/** Metrics with their values, in the form in which prom-client adds up those of several processes. */
export type CollectedMetrics = MetricObjectWithValues<never>[];

/** Returns the metrics of a registry. The types of prom-client do not say that they have values. */
export async function collectFrom(registry: Pick<Registry, 'getMetricsAsJSON'>): Promise<CollectedMetrics> {
  return (await registry.getMetricsAsJSON()) as unknown as CollectedMetrics;
}

/** Adds up the metrics of several processes. */
export function aggregate(collected: readonly CollectedMetrics[]): Registry {
  return AggregatorRegistry.aggregate([...collected]);
}
