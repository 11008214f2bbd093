import { writeSync } from 'node:fs';

/** The file descriptor of standard output. */
const standardOutput = 1;
const retryMs = 10;
const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** Standard output cannot be written to, because the disk is full or the reader has closed the pipe. */
export class OutputFailed extends Error {
  /** Whether the reader has closed the pipe, as `head` does after its last line. */
  readonly isClosed: boolean;

  constructor(cause: NodeJS.ErrnoException) {
    super(`Standard output cannot be written: ${cause.code ?? cause.message}.`, { cause });
    this.isClosed = cause.code === 'EPIPE';
  }
}

/**
 * Writes a whole text to standard output before it returns, so that a caller knows that it was written.
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
      // Another process has made the pipe non-blocking, and its reader is slow.
      Atomics.wait(sleeper, 0, 0, retryMs);
    }
  }
}
