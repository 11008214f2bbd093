/** Source from which one secret was used or tried. */
export type UsageSource = {
  generation: number;
  /** IP address or `unreadable`; `*` stands for all sources beyond those that are kept individually. */
  address: string;
  userAgent: string;
  firstUsedAt: Date | null;
  /** Null if every use was refused. */
  lastUsedAt: Date | null;
  /**
   * Longest time in milliseconds between two uses of any secret of the owner by this source, at most 30 days. It is an
   * upper bound if the individual uses are unknown.
   */
  longestGapMs: number;
  issued24h: number;
  refused: number;
  refusedAt: Date | null;
  /** Reason of the last refusal. */
  refusedAs: string | null;
};

/** Address that stands for the sources that are not kept individually. */
export const otherSources = '*';
