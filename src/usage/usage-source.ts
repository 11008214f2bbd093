/** The identity of a source. */
export type SourceName = {
  /** IP address or `unreadable`; `*` stands for all sources beyond those that are kept individually. */
  address: string;
  userAgent: string;
  /** Name that the calling program gave itself; undefined if it gave none. */
  instance?: string | undefined;
};

/** Source from which one secret was used or tried. */
export type UsageSource = SourceName & {
  generation: number;
  firstUsedAt: Date | null;
  /** Null if every use was refused. */
  lastUsedAt: Date | null;
  /**
   * Longest time in milliseconds between two uses of any secret of the owner by this source, at most 30 days. It is an
   * upper bound if the individual uses are unknown.
   */
  longestGapMs: number;
  issued24h: number;
  /**
   * How many tokens that it obtained with this secret are live. Tokens of the same minute count once, because a program
   * that keeps no token asks for several at once.
   */
  liveTokens: number;
  /** When the last of these tokens expires, rounded up to the minute; null if none is live. */
  tokensUntil: Date | null;
  /** The most tokens of this secret that it held at a time in about 30 days, counted in the same way; at most 60. */
  heldTokens: number;
  /** How many tokens it obtained with this secret, counted in the same way. */
  obtainedTokens: number;
  refused: number;
  refusedAt: Date | null;
  /** Reason of the last refusal. */
  refusedAs: string | null;
};

/** Address that stands for the sources that are not kept individually. */
export const otherSources = '*';

/** Character that neither a header nor the name of an instance can contain. */
const separator = '\x1f';

/**
 * Returns the user agent of a source together with its instance, as one key. The columns `user_agent` hold it: the
 * previous version, which may write at the same time, requires that a source is unique by address and user agent.
 */
export function encodeCaller({ userAgent, instance }: Omit<SourceName, 'address'>): string {
  return instance === undefined ? userAgent : `${userAgent}${separator}${instance}`;
}

/** Returns the user agent and the instance of which `encodeCaller` made one key. */
export function decodeCaller(caller: string): Omit<SourceName, 'address'> {
  const end = caller.indexOf(separator);
  if (end === -1) return { userAgent: caller, instance: undefined };
  return { userAgent: caller.slice(0, end), instance: caller.slice(end + 1) };
}

/** Returns the name of a source, which is different for each. */
export function nameOfSource(source: SourceName): string {
  return `${source.address} ${encodeCaller(source)}`;
}

/** Returns in its wire format which source it is. */
export function presentPlace({ address, userAgent, instance }: SourceName) {
  return { address, user_agent: userAgent, instance: instance ?? null };
}
