/** A point in time by the wall clock and by a clock that does not jump, both in milliseconds. */
export type Moment = { wall: number; steady: number };

export function currentMoment(): Moment {
  return { wall: Date.now(), steady: performance.now() };
}

/**
 * Returns the milliseconds since a moment, by the clock that shows more, so that setting the wall clock back does not
 * make it younger.
 */
export function ageOf({ wall, steady }: Moment): number {
  return Math.max(Date.now() - wall, performance.now() - steady);
}
