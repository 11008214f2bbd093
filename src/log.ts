import { type Logger, pino } from 'pino';
import type { LogLevel } from './config.ts';

export type Log = Logger;

/** A line is written at the latest after so long; many at once are written together. */
const delayMs = 100;
const bufferedBytes = 4 * 1024;

/**
 * JSON lines, written without blocking, and on any end of the process but a kill. What could hold a secret is never handed to it.
 * @param descriptor of an open file; 1 is standard output.
 */
export function createLog(level: LogLevel, descriptor = 1): Log {
  return pino(
    { level, base: null, timestamp: time },
    pino.destination({ dest: descriptor, sync: false, minLength: bufferedBytes, periodicFlush: delayMs }),
  );
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
