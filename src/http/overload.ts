import { KeyturnError } from '../errors.ts';

export type Overload = {
  /** Returns whether this process is so late that most waiting callers have given up. Called for every request. */
  isOverloaded(): boolean;
  stop(): void;
};

const everyMs = 100;
const tooLateMs = 1_000;

/**
 * Detects that the event loop is late. A timer measures its own delay. Because pending input is processed before the
 * timer runs, a timer that is overdue by more than a second counts as well. The overload ends as soon as the timer runs
 * on time again.
 */
export function watchOverload(): Overload {
  let dueAt = performance.now() + everyMs;
  let wasLate = false;
  const isLate = () => performance.now() - dueAt > tooLateMs;
  const timer = setInterval(() => {
    wasLate = isLate();
    dueAt = performance.now() + everyMs;
  }, everyMs).unref();
  return { isOverloaded: () => wasLate || isLate(), stop: () => clearInterval(timer) };
}

/** Rejects requests with 503 while the process is overloaded, instead of answering after callers have timed out. */
export function shedLoad(isOverloaded: () => boolean) {
  return (_ctx: unknown, next: () => Promise<void>): Promise<void> => {
    if (isOverloaded()) {
      throw new KeyturnError(
        'temporarily_unavailable',
        503,
        'Service unavailable: the server is overloaded. Try again shortly.',
      );
    }
    return next();
  };
}
