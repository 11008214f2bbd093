import { writeSync } from 'node:fs';

/** The file descriptor of standard output. */
const standardOutput = 1;
const retryMs = 10;
const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** Standard output cannot be written to: the disk is full, or nobody reads the pipe any more. */
export class OutputFailed extends Error {
  /** True if the reader has closed the pipe, as `head` does when it has seen enough. */
  readonly isClosed: boolean;

  constructor(cause: NodeJS.ErrnoException) {
    super(`Standard output cannot be written: ${cause.code ?? cause.message}.`, { cause });
    this.isClosed = cause.code === 'EPIPE';
  }
}

/**
 * Writes all of a text to standard output before it returns, so that a caller knows whether it arrived.
 * @throws {OutputFailed}
 */
export function writeToStandardOutput(text: string): void {
  const bytes = Buffer.from(text);
  let written = 0;
  while (written < bytes.length) {
    try {
      written += writeSync(standardOutput, bytes, written);
    } catch (error) {
      const failure = error as NodeJS.ErrnoException;
      if (failure.code !== 'EAGAIN') throw new OutputFailed(failure);
      // A pipe that another process has set to non-blocking, and whose reader is slow.
      Atomics.wait(sleeper, 0, 0, retryMs);
    }
  }
}
