/** Which DPoP proofs were used here already. */
export type ProofMemory = {
  /** Whether it is the first time; times in seconds. */
  useOnce(id: string, issuedAt: number, now: number): boolean;
};

/**
 * Remembers proofs for as long as they would be accepted, and never more than `maxProofs`: what would be more costs the oldest their
 * acceptance, not their memory, so that none is good twice.
 */
export function createProofMemory(maxProofs: number, acceptedForSeconds: number): ProofMemory {
  const bySecond = new Map<number, Set<string>>();
  let size = 0;
  /** What was issued until then is refused. */
  let refusedUntil = Number.NEGATIVE_INFINITY;
  let cleanedAt = Number.NEGATIVE_INFINITY;

  function forget(second: number): void {
    size -= bySecond.get(second)?.size ?? 0;
    bySecond.delete(second);
  }

  function forgetEnded(now: number): void {
    if (now - cleanedAt < 1) return;
    cleanedAt = now;
    for (const second of bySecond.keys()) if (second < Math.floor(now - acceptedForSeconds)) forget(second);
  }

  function shrink(): void {
    while (size > maxProofs) {
      const oldest = Math.min(...bySecond.keys());
      forget(oldest);
      refusedUntil = Math.max(refusedUntil, oldest);
    }
  }

  return {
    useOnce: (id, issuedAt, now) => {
      forgetEnded(now);
      const second = Math.floor(issuedAt);
      const used = bySecond.get(second) ?? new Set();
      if (second <= refusedUntil || used.has(id)) return false;
      bySecond.set(second, used.add(id));
      size += 1;
      shrink();
      return true;
    },
  };
}
