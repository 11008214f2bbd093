import { fstatSync, write, writeSync } from 'node:fs';
import { format } from 'node:util';
import { type Logger, pino } from 'pino';

export type Log = Logger;

export type LogLevel = 'silent' | 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace';

/**
 * Creates a log of JSON lines. Lines are written without blocking, and also at the end of the process unless it is
 * killed. Never pass a value that could contain a secret.
 * @param to an open file descriptor, or what receives each line; 1 is standard output.
 */
export function createLog(level: LogLevel, to: number | Pick<Destination, 'write'> = 1): Log {
  const destination = typeof to === 'number' ? createLogDestination(to) : to;
  const log = pino({ level, base: null, timestamp: time }, destination);
  destinationOf.set(log, destination);
  return log;
}

/** The destinations of logs that `createLog` has created. */
const destinationOf = new WeakMap<Log, Destination>();

/** What a log writes to. Only a file descriptor can lose lines. */
type Destination = Pick<LogDestination, 'write'> & Partial<LogDestination>;

/**
 * Writes what libraries pass to `console.warn` to the log, at level debug, so that the process writes JSON lines only.
 * oidc-provider warns once that the body of a request is already parsed, which is intended (oauth/provider.ts).
 */
export function logConsoleWarnings(log: Log): void {
  console.warn = (...parts: unknown[]) => log.debug({ warning: format(...parts) }, 'a library wrote a warning');
}

/**
 * Writes the line that `log.info` would write, from members that are already JSON. The form of access log lines is
 * fixed, and building them here takes a fraction of pino's time.
 */
export function logMembers(log: Log, members: string, message: string): void {
  if (!log.isLevelEnabled('info')) return;
  const destination = destinationOf.get(log);
  if (!destination) {
    log.info(JSON.parse(`{${members}}`), message);
    return;
  }
  destination.write(`{"level":30${time()},${members},"msg":"${message}"}\n`);
}

/**
 * Returns how many lines were dropped because they could not be written, and the error if lines are being dropped now.
 * A log that was not created by `createLog` reports no loss.
 */
export function logLoss(log: Log): LogLoss {
  return destinationOf.get(log)?.loss?.() ?? { lines: 0, reason: undefined };
}

let writtenAt = 0;
let written = '';

/** Returns the current time in ISO 8601 as a JSON member, as pino writes it. The text is cached for its millisecond. */
function time(): string {
  const now = Date.now();
  if (now !== writtenAt) {
    writtenAt = now;
    written = `,"time":"${new Date(now).toISOString()}"`;
  }
  return written;
}

/**
 * Destination of log lines: a file descriptor that is written without blocking, and that may fail without stopping the
 * process.
 */
type LogDestination = {
  write(line: string): void;
  /** Starts to write buffered lines. @param done called when nothing is left to write. */
  flush(done?: () => void): void;
  /**
   * Writes buffered lines before it returns, for the end of the process. Gives up if the reader of a pipe reads nothing
   * for three seconds.
   */
  flushSync(): void;
  loss(): LogLoss;
};

type LogLoss = {
  /** Lines dropped since the process started. */
  lines: number;
  /** Error code of the current loss, such as `ENOSPC`. Undefined while lines are written. */
  reason: string | undefined;
};

/** Maximum delay before a line is written, so that many lines are written together. */
const delayMs = 100;
const batchBytes = 128 * 1024;
/** Maximum number of bytes held for a slow reader. Further lines are dropped. */
const maxHeldBytes = 16 * 1024 * 1024;
/** Lines with this many characters bypass the batch. A character has at most three bytes in UTF-8. */
const [longLine, bytesOfCharacter] = [4_096, 3];
/** Time that the process waits at its end for the reader of a full pipe. */
const lastWriteMs = 3_000;
const newLine = '\n'.charCodeAt(0);

const destinations = new Set<LogDestination>();

function createLogDestination(descriptor: number): LogDestination {
  let batch = newBatch();
  let used = 0;
  let queue: Buffer[] = [];
  let heldBytes = 0;
  let isWriting = false;
  let retry: NodeJS.Timeout | undefined;
  let timer: NodeJS.Timeout | undefined;
  let isPrepared = false;
  /** Whether the last write ended within a line. */
  let isTorn = false;
  /** Whether the next write must begin with a line break, because the rest of a line was dropped. */
  let needsNewLine = false;
  let lostLines = 0;
  let reportedLines = 0;
  let reason: string | undefined;
  let waiting: (() => void)[] = [];

  function prepare(): void {
    isPrepared = true;
    makeNonBlocking(descriptor);
    if (destinations.size === 0) process.once('exit', flushAll);
    destinations.add(destination);
  }

  function drop(lines: Buffer, because: string): void {
    for (let at = lines.indexOf(newLine); at !== -1; at = lines.indexOf(newLine, at + 1)) lostLines += 1;
    reason = because;
  }

  function enqueue(given: Buffer): void {
    const lines = needsNewLine ? Buffer.concat([Buffer.from('\n'), given]) : given;
    needsNewLine = false;
    if (heldBytes + lines.length > maxHeldBytes) {
      drop(lines, 'EAGAIN');
      return;
    }
    queue.push(lines);
    heldBytes += lines.length;
  }

  function handOver(): void {
    clearTimeout(timer);
    timer = undefined;
    if (used > 0) {
      const lines = batch.subarray(0, used);
      batch = newBatch();
      used = 0;
      enqueue(lines);
    }
  }

  function pump(): void {
    const [next] = queue;
    if (isWriting || retry) return;
    if (!next) {
      settle();
      return;
    }
    isWriting = true;
    write(descriptor, next, (error, written) => {
      isWriting = false;
      if (!error) wrote(next, written);
      else if (isBusy(error)) retry = setTimeout(retryNow, delayMs).unref();
      else dropAll(error.code ?? 'EIO');
      pump();
    });
  }

  function retryNow(): void {
    retry = undefined;
    pump();
  }

  function wrote(lines: Buffer, bytes: number): void {
    heldBytes -= bytes;
    isTorn = false;
    if (bytes < lines.length) {
      queue[0] = lines.subarray(bytes);
      isTorn = lines[bytes - 1] !== newLine;
      return;
    }
    queue.shift();
    if (queue.length > 0) return;
    reason = undefined;
    if (lostLines > reportedLines) enqueue(reportLoss());
  }

  /** Returns a line that reports how many lines were lost since the last report. Returns nothing if none were lost. */
  function reportLoss(): Buffer {
    const lost = lostLines - reportedLines;
    reportedLines = lostLines;
    const message = 'dropped log lines that could not be written';
    const line = `{"level":40,"time":"${new Date().toISOString()}","lost":${lost},"msg":"${message}"}\n`;
    return Buffer.from(lost > 0 ? line : '');
  }

  /** Drops all queued lines after an error such as a full disk or a closed pipe. Later lines are tried again. */
  function dropAll(because: string): void {
    for (const lines of queue) drop(lines, because);
    queue = [];
    heldBytes = 0;
    needsNewLine ||= isTorn;
    isTorn = false;
  }

  function settle(): void {
    const callbacks = waiting;
    waiting = [];
    for (const done of callbacks) done();
  }

  const destination: LogDestination = {
    write(line) {
      if (!isPrepared) prepare();
      if (line.length >= longLine) {
        handOver();
        enqueue(Buffer.from(line));
        pump();
        return;
      }
      used += batch.write(line, used);
      if (used >= batchBytes) {
        handOver();
        pump();
      } else timer ??= setTimeout(destination.flush, delayMs).unref();
    },
    flush(done) {
      handOver();
      if (typeof done === 'function') waiting.push(done);
      pump();
    },
    flushSync() {
      handOver();
      // A write in progress finishes on its own thread, and its result cannot be awaited here.
      const rest = Buffer.concat([...(isWriting ? queue.slice(1) : queue), reportLoss()]);
      queue = isWriting ? queue.slice(0, 1) : [];
      heldBytes = queue.reduce((sum, { length }) => sum + length, 0);
      const unwritten = writeNow(descriptor, rest);
      if (unwritten.length > 0) drop(unwritten, 'EAGAIN');
    },
    loss: () => ({ lines: lostLines, reason }),
  };
  return destination;
}

function flushAll(): void {
  for (const destination of destinations) destination.flushSync();
}

/**
 * Makes a pipe or socket non-blocking, which Node does when it creates a stream for it. Otherwise a pipe that is not
 * read would block a thread of libuv forever, and with it the end of the process.
 */
function makeNonBlocking(descriptor: number): void {
  try {
    const kind = fstatSync(descriptor);
    if (!kind.isFIFO() && !kind.isSocket()) return;
    if (descriptor === 1) process.stdout.on('error', () => undefined);
    if (descriptor === 2) process.stderr.on('error', () => undefined);
  } catch {
    // The descriptor is closed, so every write fails and its lines are counted as lost.
  }
}

/** Writes lines synchronously. Returns the bytes that could not be written. */
function writeNow(descriptor: number, lines: Buffer): Buffer {
  let deadline = performance.now() + lastWriteMs;
  let rest = lines;
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(descriptor, rest));
      deadline = performance.now() + lastWriteMs;
    } catch (error) {
      if (!isBusy(error as NodeJS.ErrnoException) || performance.now() > deadline) return rest;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    }
  }
  return rest;
}

function isBusy({ code }: NodeJS.ErrnoException): boolean {
  return code === 'EAGAIN' || code === 'EBUSY';
}

/** Returns a buffer with room for one line beyond the size of a batch. */
function newBatch(): Buffer {
  return Buffer.allocUnsafeSlow(batchBytes + longLine * bytesOfCharacter);
}
