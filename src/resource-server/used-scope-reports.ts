import type { AccessToken } from './access-token.ts';

/** Reports which scopes access keys were used for, so that operators see granted scopes that are never used. */
export type UsedScopeReports = {
  /** Call it for every accepted request. Reports each key and scope once an hour, in the background. */
  note(found: AccessToken, scope: readonly string[], tell: (scope: readonly string[]) => Promise<unknown>): void;
};

const everyMs = 3_600_000;
const againAfterFailureMs = 60_000;
/** Maximum number of remembered pairs of key and scope; beyond it, the oldest are reported again. */
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
      const now = performance.now();
      const due = scope.filter((item) => now >= (nextAt.get(`${accessKeyId} ${item}`) ?? Number.NEGATIVE_INFINITY));
      if (due.length === 0) return;
      const pairs = due.map((item) => `${accessKeyId} ${item}`);
      postpone(pairs, now + everyMs);
      tell(due).catch(() => postpone(pairs, now + againAfterFailureMs));
    },
  };
}
