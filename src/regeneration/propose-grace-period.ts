/** Lengths of a grace period that people choose from, in seconds. */
export const gracePeriods = [3_600, 86_400, 259_200, 604_800, 1_209_600, 2_592_000] as const;
export const longestGracePeriod = 2_592_000;
export const usualGracePeriod = 86_400;

/** A length and the longest pause of a source, both in seconds. */
export type GracePeriodProposal = { seconds: number; longestPause: number };

/**
 * Returns the shortest of these lengths, at least a day, that gives the source with the longest pause between two uses twice
 * that time.
 * @param sources those that have not moved.
 * @param after seconds until the current end, which the length exceeds.
 */
export function proposeGracePeriod(
  sources: readonly { required_silence_seconds: number }[],
  after = 0,
): GracePeriodProposal {
  const longestPause = Math.max(0, ...sources.map((source) => source.required_silence_seconds));
  const needed = Math.max(usualGracePeriod, Math.min(longestGracePeriod, longestPause * 2), after + 1);
  return { seconds: gracePeriods.find((seconds) => seconds >= needed) ?? longestGracePeriod, longestPause };
}
