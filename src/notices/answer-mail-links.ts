import { type Actor, appendAuditEvent, type CommitChange } from '../audit/audit-log.ts';
import type { Clock } from '../process/clock.ts';
import { hasMailLinkRequests, mailLinkMs, takeMailLinkRequests } from '../sessions/mail-link-requests.ts';
import type { Database } from '../storage/database.ts';
import { nameThings } from './name-things.ts';
import { insertNotices, type NewNotice } from './notice-store.ts';

/** Answers the requests for sign-in links by e-mail, after those who asked already have their response. */
export async function answerMailLinkRequests({
  database,
  change,
  clock,
}: {
  database: Database;
  change: CommitChange;
  clock: Clock;
}): Promise<void> {
  if (!(await hasMailLinkRequests(database))) return;
  const now = clock();
  await change(async (transaction) => {
    const recipients = await takeMailLinkRequests(transaction, now);
    const refs = recipients.map(({ contactId }) => ({ type: 'contact' as const, id: contactId }));
    const named = await nameThings(transaction, refs);
    const [at, expiresAt] = [new Date(now), new Date(now + mailLinkMs).toISOString()];
    const notices: NewNotice[] = [];
    for (const { contactId, address } of recipients) {
      const found = named({ type: 'contact', id: contactId });
      if (!found) continue;
      const { contactName: _, isEnabled: __, ...thing } = found;
      const actor: Actor = { id: 'keyturn', name: 'Keyturn', address };
      await appendAuditEvent(transaction, {
        at,
        actor,
        action: 'portal.mail_link',
        targetType: 'contact',
        target: contactId,
        after: { expires_at: expiresAt },
      });
      notices.push({ ...thing, kind: 'portal_link_requested', at, data: { ends_at: expiresAt } });
    }
    await insertNotices(transaction, notices);
  });
}
