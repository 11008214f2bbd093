import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';

const run = promisify(execFile);
const log = new URL('../../src/observability/log.ts', import.meta.url).href;

/** Runs a process that writes the given number of lines and then ends, normally or at once. */
function writing(lines: number, end: string): Promise<{ stdout: string }> {
  const program = `import { createLog } from '${log}';
    const log = createLog('info', 1);
    for (let number = 0; number < ${lines}; number++) log.info({ number }, 'line');
    ${end}`;
  return run(process.execPath, ['--input-type=module', '--eval', program], { maxBuffer: 16_000_000 });
}

it.each([
  [1, ''],
  [200, ''],
  [300, ''],
  [5_000, ''],
  [200, 'process.exit();'],
])('no line is lost in a pipe at the end of a process: %i lines, %j', async (lines, end) => {
  // Which lines are dropped depends on a race between two writers, so one run is not enough.
  const runs = await Promise.all(Array.from({ length: 12 }, () => writing(lines, end)));
  for (const { stdout } of runs) expect(stdout.trimEnd().split('\n')).toHaveLength(lines);
});

test('writes complete lines in their order, of any length and in any script', async () => {
  const program = `import { createLog } from '${log}';
    const log = createLog('info', 1);
    for (let number = 0; number < 2_000; number++) {
      log.info({ number, text: 'é€😀'.repeat(number % 7 === 0 ? 3_000 : number % 50) });
      if (number % 100 === 0) await new Promise((done) => setTimeout(done, number % 3));
    }`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', program], { maxBuffer: 64_000_000 });
  const lines = stdout.trimEnd().split('\n');
  expect(lines.map((line) => JSON.parse(line) as object)).toEqual(
    Array.from({ length: 2_000 }, (_, number) =>
      expect.objectContaining({ number, text: 'é€😀'.repeat(number % 7 === 0 ? 3_000 : number % 50) }),
    ),
  );
});

test('does not block or fill memory if nothing reads the log, and later reports how many lines were lost', async () => {
  const written = 600_000;
  const program = `import { createLog } from '${log}';
    const log = createLog('info', 1);
    const heapBefore = process.memoryUsage().rss;
    for (let number = 0; number < ${written}; number++) {
      log.info({ number }, 'a line that nobody reads for now');
      if (number % 1_000 > 0) continue;
      await new Promise(setImmediate);
    }
    process.send({ grown: process.memoryUsage().rss - heapBefore });
    await new Promise((resolve) => process.once('message', resolve));
    log.info({ number: ${written} }, 'again');
    process.disconnect();`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  // The process continues although nothing reads its log.
  const [{ grown }] = (await once(child, 'message')) as [{ grown: number }];
  expect(grown).toBeLessThan(80 * 1024 * 1024);
  let text = '';
  child.stdout?.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  const exited = once(child, 'close');
  child.send('read');
  await exited;
  const lines = text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { number?: number; lost?: number });
  const lost = lines.reduce((sum, line) => sum + (line.lost ?? 0), 0);
  expect(lost).toBeGreaterThan(written / 2);
  expect(lines.filter(({ number }) => number !== undefined)).toHaveLength(written + 1 - lost);
});
