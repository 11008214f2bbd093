import { type DestinationStream, type Logger, pino } from 'pino';
import type { LogLevel } from './config.ts';

export type Log = Logger;

/** A line is written at the latest after so long; many at once are written together. */
const delayMs = 100;
const batchCharacters = 32 * 1024;

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

/** pino's own destination measures all that it holds at every line; so lines are collected in front of it. */
function createDestination(descriptor: number) {
  const destination = pino.destination({
    dest: descriptor,
    sync: false,
    minLength: batchCharacters,
    maxWrite: 4 * batchCharacters,
    periodicFlush: delayMs,
  });
  const { write, flush, flushSync } = destination;
  let collected = '';

  function handOver(): void {
    const lines = collected;
    collected = '';
    if (lines) write.call(destination, lines);
  }

  return Object.assign(destination, {
    write: (line: string) => {
      collected += line;
      if (collected.length >= batchCharacters) handOver();
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
