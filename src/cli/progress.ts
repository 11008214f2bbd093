/**
 * Shows a progress bar on standard error, only if it is a terminal, so that files and pipes receive only the result.
 * @param form of the line after `what`. Use `{value}` alone if the total is not known.
 */
export async function startProgress(
  what: string,
  form = '[{bar}] {value}/{total}',
): Promise<{ show(done: number, total?: number): void; end(): void }> {
  const { default: progress } = await import('cli-progress');
  const bar = new progress.SingleBar(
    { format: `${what} ${form}`, stream: process.stderr, clearOnComplete: true, hideCursor: true },
    progress.Presets.rect,
  );
  let isStarted = false;
  return {
    show: (done, total = done) => {
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
