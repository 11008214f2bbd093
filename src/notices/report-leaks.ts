import type { Actor, CommitChange } from '../audit/audit-log.ts';
import type { Leak } from '../leaks/find-leaks.ts';
import type { Clock } from '../process/clock.ts';
import { nameThings } from './name-things.ts';
import { insertNotices } from './notice-store.ts';

/**
 * Tells the owners of leaked credentials that still work, because they were not revoked. Each has one notice, however
 * often the text is searched.
 */
export async function reportLeaks(
  { change, clock }: { change: CommitChange; clock: Clock },
  actor: Actor,
  leaks: readonly Leak[],
): Promise<void> {
  const found = leaks.flatMap(({ kind, hint, found: known }) => (known ? [{ kind, hint, owner: known.shown }] : []));
  if (found.length === 0) return;
  await change(async (transaction) => {
    const named = await nameThings(
      transaction,
      found.map(({ owner }) => owner),
    );
    const notices = found.flatMap(({ kind, hint, owner }) => {
      const of = named(owner);
      if (!of) return [];
      const { contactName, isEnabled: _, ...thing } = of;
      const contact = contactName === undefined ? {} : { contact_name: contactName };
      const data = { by: actor.name, ...contact, leaked: kind, hint, still_valid: true };
      const moment = `leak:${thing.thing}:${kind}:${hint}`;
      return [{ ...thing, kind: 'leak_reported' as const, at: new Date(clock()), moment, data }];
    });
    await insertNotices(transaction, notices);
  });
}
