/** From where one secret was used, or tried. */
export type UsageSource = {
  generation: number;
  /** `*` stands for all sources beyond those that are kept one by one. */
  address: string;
  userAgent: string;
  firstUsedAt: Date | null;
  /** Null if every use was refused. */
  lastUsedAt: Date | null;
  /**
   * Longest time between two uses of any secret of the owner by this source. Where the single uses are not known, it is an upper
   * bound; it is never more than 30 days.
   */
  longestGapMs: number;
  issued24h: number;
  refused: number;
  refusedAt: Date | null;
  /** Reason of the last refusal. */
  refusedAs: string | null;
};

/** The address of the sources that are not kept one by one. */
export const otherSources = '*';
