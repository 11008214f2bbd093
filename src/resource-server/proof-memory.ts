/** A memory of the DPoP proofs that this process has accepted. */
export type ProofMemory = {
  /** Returns true if the proof was not used before. Times are in seconds. */
  useOnce(id: string, issuedAt: number, now: number): boolean;
};

/**
 * Keeps proofs as long as they could be accepted, but no more than `maxProofs`. Beyond that, it drops the oldest ones
 * and rejects every proof of their time, so that no proof is accepted twice.
 */
export function createProofMemory(maxProofs: number, acceptedForSeconds: number): ProofMemory {
  const bySecond = new Map<number, Set<string>>();
  let size = 0;
  /** Proofs issued up to this second are rejected. */
  let refusedUntil = Number.NEGATIVE_INFINITY;
  let cleanedAt = Number.NEGATIVE_INFINITY;

  function forget(second: number): void {
    size -= bySecond.get(second)?.size ?? 0;
    bySecond.delete(second);
  }

  function forgetEnded(now: number): void {
    if (now - cleanedAt < 1) return;
    cleanedAt = now;
    for (const second of bySecond.keys()) {
      if (second >= Math.floor(now - acceptedForSeconds)) continue;
      forget(second);
      // Reject the dropped seconds from now on: the clock may have jumped forward and be set back later.
      refusedUntil = Math.max(refusedUntil, second);
    }
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
