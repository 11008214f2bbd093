export type Overload = {
  /** Whether this process is so late that most of those who wait for it have given up. Asked of every request. */
  isOverloaded(): boolean;
  stop(): void;
};

const everyMs = 100;
const tooLateMs = 1_000;

/**
 * Sees when the event loop is late: by a timer, and, as what has piled up is read before the timer gets its turn, by how long that has
 * not been heard of. It is over as soon as the timer is in time again.
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
