import { type Actor, appendAuditEvent, type CommitChange } from '../audit/audit-log.ts';
import type { KeyRing } from '../credentials/key-ring.ts';
import { createTextSigner } from '../credentials/signed-value.ts';
import type { Clock } from '../process/clock.ts';
import { type NoticeKind, noticeKinds } from './notice.ts';
import { saveSwitches } from './switches.ts';

/** Path on the public listener. */
export const unsubscribePath = '/notices/unsubscribe';

/** What a link switches off. */
export type Unsubscription = { organizationId: string; receiver: string; kinds: readonly NoticeKind[] };

/** Returns a link that switches kinds of notices off for one receiver. It grants nothing else. */
export function unsubscribeUrl(
  ring: KeyRing,
  issuer: string,
  { organizationId, receiver, kinds }: Unsubscription,
): string {
  const text = JSON.stringify([organizationId, receiver, ...kinds]);
  const url = new URL(unsubscribePath, issuer);
  url.searchParams.set('token', createTextSigner(ring, 'unsubscribe').sign('', text));
  return url.href;
}

/** Returns what a link switches off, or undefined if this deployment has not signed it. */
export function readUnsubscription(ring: KeyRing, token: string): Unsubscription | undefined {
  const text = createTextSigner(ring, 'unsubscribe').read('', token);
  if (text === undefined) return undefined;
  const [organizationId, receiver, ...kinds] = JSON.parse(text) as [string, string, ...NoticeKind[]];
  // A later version may have made a kind mandatory.
  return { organizationId, receiver, kinds: kinds.filter((kind) => noticeKinds[kind]?.isMandatory === false) };
}

/** Switches kinds of notices off for a receiver. Repeating it changes nothing. */
export async function unsubscribe(
  { change, clock }: { change: CommitChange; clock: Clock },
  { organizationId, receiver, kinds }: Unsubscription,
  address: string,
): Promise<void> {
  const actor: Actor = { id: receiver, name: 'Link in a mail', address };
  await change(async (transaction) => {
    await saveSwitches(transaction, { organizationId, receiver }, new Map(kinds.map((kind) => [kind, false])));
    await appendAuditEvent(transaction, {
      at: new Date(clock()),
      actor,
      action: 'notices.switch',
      targetType: receiver.startsWith('mailto:') ? 'address' : 'contact',
      target: receiver,
      organizationId,
      after: Object.fromEntries(kinds.map((kind) => [kind, false])),
    });
  });
}
