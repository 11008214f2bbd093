/** From where one secret was used, or tried. */
export type UsageSource = {
  generation: number;
  /** `*` stands for all sources beyond those that are kept one by one. */
  address: string;
  userAgent: string;
  firstUsedAt: Date | null;
  /** Null: it was always refused. */
  lastUsedAt: Date | null;
  issued24h: number;
  refused: number;
  refusedAt: Date | null;
  /** Why it was refused last. */
  refusedAs: string | null;
};

/** The address of the sources that are not kept one by one. */
export const otherSources = '*';

/**
 * Whether a source of the old secret has moved to the new one: it was seen with the new one, and with the old one only before that.
 * Behind one address there may be several machines that move one by one, so where the old secret came from it once more, it has moved
 * only after a token's lifetime without another time: who is still on the old secret would have asked anew by then.
 */
export function hasMoved(
  old: UsageSource,
  newSources: readonly UsageSource[],
  { now, tokenLifetimeMs }: { now: number; tokenLifetimeMs: number },
): boolean {
  if (old.address === otherSources || !old.lastUsedAt) return false;
  const moved = newSources.find(({ address, userAgent }) => address === old.address && userAgent === old.userAgent);
  if (!moved?.firstUsedAt) return false;
  return old.lastUsedAt <= moved.firstUsedAt || now - old.lastUsedAt.getTime() >= tokenLifetimeMs;
}
