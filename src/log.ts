import { type DestinationStream, type Logger, pino } from 'pino';
import type { LogLevel } from './config.ts';

export type Log = Logger;

/** A line is written at the latest after so long; many at once are written together. */
const delayMs = 100;
const batchBytes = 128 * 1024;
const maxHeldBytes = 16 * 1024 * 1024;
/** So many characters are written apart; each is at most so many bytes in UTF-8. */
const [longLine, bytesOfCharacter] = [4_096, 3];

/**
 * JSON lines, written without blocking, and on any end of the process but a kill. What could hold a secret is never handed to it.
 * @param descriptor of an open file; 1 is standard output.
 */
export function createLog(level: LogLevel, descriptor = 1): Log {
  return pino({ level, base: null, timestamp: time }, createDestination(descriptor));
}

/**
 * The line that `log.info` would write, of members that are JSON already: what is written at every request is put together by who knows
 * its form, for a fraction of what it costs to look for it.
 */
export function logMembers(log: Log, members: string, message: string): void {
  if (!log.isLevelEnabled('info')) return;
  const { [pino.symbols.streamSym]: stream } = log as unknown as Record<symbol, DestinationStream>;
  stream?.write(`{"level":30${time()},${members},"msg":"${message}"}\n`);
}

/**
 * pino's own destination measures all that it holds at every line, and encodes it twice; so lines are collected in front of it, and each
 * is encoded as soon as it is made.
 */
function createDestination(descriptor: number) {
  const destination = pino.destination({
    dest: descriptor,
    sync: false,
    minLength: batchBytes,
    maxWrite: 4 * batchBytes,
    maxLength: maxHeldBytes,
    periodicFlush: delayMs,
    contentMode: 'buffer',
  });
  const { flush, flushSync } = destination;
  // In this mode it takes bytes, whatever its type says.
  const writeBytes = destination.write.bind(destination) as unknown as (lines: Buffer) => boolean;
  let batch = newBatch();
  let used = 0;
  let lost = 0;
  // Whoever reads the log and has stopped doing so holds nobody up, and costs no more memory than that.
  destination.on('drop', (lines: Buffer) => {
    lost += lines.toString('latin1').split('\n').length - 1;
  });
  destination.on('drain', () => {
    if (lost === 0) return;
    const line = `{"level":40${time()},"lost":${lost},"msg":"log lines were lost: nobody read them in time"}\n`;
    lost = 0;
    writeBytes(Buffer.from(line));
  });

  function handOver(): void {
    if (used === 0) return;
    const lines = batch.subarray(0, used);
    batch = newBatch();
    used = 0;
    writeBytes(lines);
  }

  return Object.assign(destination, {
    write: (line: string) => {
      if (line.length >= longLine) {
        handOver();
        writeBytes(Buffer.from(line));
      } else {
        used += batch.write(line, used);
        if (used >= batchBytes) handOver();
      }
      return true;
    },
    flush: (done?: (error?: Error) => void) => {
      handOver();
      flush.call(destination, done);
    },
    flushSync: () => {
      handOver();
      flushSync.call(destination);
    },
  });
}

/** With room for a line more than it is to hold. */
function newBatch(): Buffer {
  return Buffer.allocUnsafeSlow(batchBytes + longLine * bytesOfCharacter);
}

let writtenAt = 0;
let written = '';

/** ISO 8601, as pino writes it; worked out once a millisecond. */
function time(): string {
  const now = Date.now();
  if (now !== writtenAt) {
    writtenAt = now;
    written = `,"time":"${new Date(now).toISOString()}"`;
  }
  return written;
}
