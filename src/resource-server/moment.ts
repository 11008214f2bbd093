/** A point in time by the wall clock and by a clock that does not jump, both in milliseconds. */
export type Moment = { wall: number; steady: number };

export function currentMoment(): Moment {
  return { wall: Date.now(), steady: performance.now() };
}

/** Milliseconds since a moment, by the clock that says more: a wall clock that is set back must not keep anything young. */
export function ageOf({ wall, steady }: Moment): number {
  return Math.max(Date.now() - wall, performance.now() - steady);
}
