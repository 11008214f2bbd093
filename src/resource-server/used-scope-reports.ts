import type { AccessToken } from './access-token.ts';

/** Tells the server which scopes access keys were really used for, so that an operator sees what is granted and never used. */
export type UsedScopeReports = {
  /** To be called for every request that is let through; tells of each key and scope once an hour, in the background. */
  note(found: AccessToken, scope: readonly string[], tell: (scope: readonly string[]) => Promise<unknown>): void;
};

const everyMs = 3_600_000;
const againAfterFailureMs = 60_000;
/** Distinct pairs of key and scope; beyond that, the longest known are told of again. */
const maxKnown = 50_000;

export function createUsedScopeReports(): UsedScopeReports {
  const nextAt = new Map<string, number>();

  function postpone(pairs: readonly string[], until: number): void {
    for (const pair of pairs) {
      nextAt.delete(pair);
      nextAt.set(pair, until);
    }
    while (nextAt.size > maxKnown) nextAt.delete(nextAt.keys().next().value as string);
  }

  return {
    note: ({ accessKeyId }, scope, tell) => {
      if (accessKeyId === undefined || scope.length === 0) return;
      const now = Date.now();
      const due = scope.filter((item) => now >= (nextAt.get(`${accessKeyId} ${item}`) ?? 0));
      if (due.length === 0) return;
      const pairs = due.map((item) => `${accessKeyId} ${item}`);
      postpone(pairs, now + everyMs);
      tell(due).catch(() => postpone(pairs, now + againAfterFailureMs));
    },
  };
}
