import { type Logger, pino } from 'pino';
import type { LogLevel } from './config.ts';

export type Log = Logger;

/** A line is written at the latest after so long; many at once are written together. */
const delayMs = 100;
const bufferedBytes = 64 * 1024;

/**
 * JSON lines, written without blocking, and on any end of the process but a kill. What could hold a secret is never handed to it.
 * @param descriptor of an open file; 1 is standard output.
 */
export function createLog(level: LogLevel, descriptor = 1): Log {
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({
      dest: descriptor,
      sync: false,
      minLength: bufferedBytes,
      maxWrite: 2 * bufferedBytes,
      periodicFlush: delayMs,
    }),
  );
}
