/**
 * Shows a progress bar on standard error, only if it is a terminal, so that files and pipes receive only the result.
 */
export async function startProgress(what: string): Promise<{ show(done: number, total: number): void; end(): void }> {
  const { default: progress } = await import('cli-progress');
  const format = `${what} [{bar}] {value}/{total}`;
  const bar = new progress.SingleBar(
    { format, stream: process.stderr, clearOnComplete: true, hideCursor: true },
    progress.Presets.rect,
  );
  let isStarted = false;
  return {
    show: (done, total) => {
      if (!process.stderr.isTTY) return;
      if (!isStarted) bar.start(total, 0);
      isStarted = true;
      bar.setTotal(Math.max(total, done));
      bar.update(done);
      // The bar is drawn by a timer, which does not run during synchronous work, so draw it here too.
      bar.render();
    },
    end: () => bar.stop(),
  };
}
