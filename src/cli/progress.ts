import { Presets, SingleBar } from 'cli-progress';

/** For whoever watches: on a terminal alone, and on standard error. A file or a pipe gets the result and nothing else. */
export function startProgress(what: string): { show(done: number, total: number): void; end(): void } {
  const format = `${what} [{bar}] {value}/{total}`;
  const bar = new SingleBar({ format, stream: process.stderr, clearOnComplete: true, hideCursor: true }, Presets.rect);
  let isStarted = false;
  return {
    show: (done, total) => {
      if (!process.stderr.isTTY) return;
      if (!isStarted) bar.start(total, 0);
      isStarted = true;
      bar.setTotal(Math.max(total, done));
      bar.update(done);
      // It draws by a timer; work that leaves it no turn is drawn all the same.
      bar.render();
    },
    end: () => bar.stop(),
  };
}
