import { AsyncLocalStorage } from 'node:async_hooks';
import type { CommitChange } from '../audit/audit-log.ts';
import type { Transaction } from '../storage/database.ts';

/**
 * Uses an approval in the transaction of the act that it is for, so that both are committed or neither is: an act that
 * fails does not use up its approval, and two at once do not share one.
 */
type Spending = { use: (transaction: Transaction) => Promise<void>; isDone: boolean };

const current = new AsyncLocalStorage<Spending>();

/** Returns a `change` that uses the approval of `withSpending` in its first transaction. */
export function spendInChange(change: CommitChange): CommitChange {
  return async (work) => {
    const spending = current.getStore();
    if (!spending || spending.isDone) return await change(work);
    const result = await change(async (transaction) => {
      await spending.use(transaction);
      return await work(transaction);
    });
    spending.isDone = true;
    return result;
  };
}

/** Runs an act, whose first change uses an approval. @throws if the act changes nothing, because it must record its use. */
export async function withSpending<T>(use: Spending['use'], act: () => Promise<T>): Promise<T> {
  const spending: Spending = { use, isDone: false };
  const result = await current.run(spending, act);
  if (!spending.isDone) throw new Error('an act with an approval must change something');
  return result;
}
