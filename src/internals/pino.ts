import { type Logger, pino } from 'pino';

/**
 * Returns the destination that pino writes the lines of a logger to, which has no public member. Returns undefined if
 * pino no longer tells it.
 */
export function destinationOf(log: Logger): object | undefined {
  return (log as unknown as Record<symbol, object | undefined>)[pino.symbols.streamSym];
}
