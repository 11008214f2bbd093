import { type Logger, pino } from 'pino';
import type { LogLevel } from './config.ts';

export type Log = Logger;

/**
 * JSON lines, written without blocking. What could hold a secret is never handed to it.
 * @param descriptor of an open file; 1 is standard output.
 */
export function createLog(level: LogLevel, descriptor = 1): Log {
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: descriptor, sync: false }),
  );
}
