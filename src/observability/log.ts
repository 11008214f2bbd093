import { type Logger, pino } from 'pino';
import type { LogLevel } from '../config.ts';
import { createLogDestination, type LogDestination, type LogLoss } from './log-destination.ts';

export type Log = Logger;

/**
 * Creates a log of JSON lines. Lines are written without blocking, and also at the end of the process unless it is
 * killed. Never pass a value that could contain a secret.
 * @param descriptor an open file descriptor; 1 is standard output.
 */
export function createLog(level: LogLevel, descriptor = 1): Log {
  return pino({ level, base: null, timestamp: time }, createLogDestination(descriptor));
}

/**
 * Writes the line that `log.info` would write, from members that are already JSON. The form of access log lines is
 * fixed, and building them here takes a fraction of pino's time.
 */
export function logMembers(log: Log, members: string, message: string): void {
  if (!log.isLevelEnabled('info')) return;
  destinationOf(log).write(`{"level":30${time()},${members},"msg":"${message}"}\n`);
}

/**
 * Returns how many lines were dropped because they could not be written, and the error if lines are being dropped now.
 * A log that was not created by `createLog` reports no loss.
 */
export function logLoss(log: Log): LogLoss {
  return destinationOf(log).loss?.() ?? { lines: 0, reason: undefined };
}

type Destination = Pick<LogDestination, 'write'> & Partial<LogDestination>;

function destinationOf(log: Log): Destination {
  return (log as unknown as Record<symbol, Destination>)[pino.symbols.streamSym] as Destination;
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
