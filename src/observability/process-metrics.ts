import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, Gauge, type Registry } from 'prom-client';

/** Sampling interval of the event loop delay. */
const resolutionMs = 10;

/** Registers the metrics of the process: event loop, memory and processor time. */
export function createProcessMetrics(registers: Registry[]): { close(): void } {
  const loop = monitorEventLoopDelay({ resolution: resolutionMs });
  loop.enable();
  // The histogram contains the time between two samples, so subtract the interval.
  const seconds = (nanoseconds: number) =>
    Number.isFinite(nanoseconds) ? Math.max(0, nanoseconds / 1e9 - resolutionMs / 1_000) : 0;
  new Gauge({
    name: 'keyturn_event_loop_delay_seconds',
    help: 'How late timers are since the last scrape; of several processes, the worst',
    labelNames: ['quantile'],
    aggregator: 'max',
    registers,
    collect() {
      this.set({ quantile: '0.5' }, seconds(loop.percentile(50)));
      this.set({ quantile: '0.99' }, seconds(loop.percentile(99)));
      this.set({ quantile: '1' }, seconds(loop.max));
      loop.reset();
    },
  });
  new Gauge({
    name: 'keyturn_resident_memory_bytes',
    help: 'Memory of all processes of the port',
    registers,
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
  new Counter({
    name: 'keyturn_cpu_seconds_total',
    help: 'Processor time of all processes of the port',
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6);
    },
  });
  new Gauge({
    name: 'keyturn_processes',
    help: 'Processes of the port that answered',
    registers,
    collect() {
      this.set(1);
    },
  });
  return {
    close: () => {
      loop.disable();
    },
  };
}
