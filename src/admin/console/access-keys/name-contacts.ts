import { unlessMissing } from '../attempt.ts';
import type { Visit } from '../page.ts';
import type { ShownContact } from '../shown.ts';

/** The names of some contacts, by their ids. */
export async function nameContacts(visit: Visit, ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const contacts = await Promise.all(
    [...new Set(ids)].map((id) => unlessMissing(visit.call<ShownContact>('GET /contacts/{id}', { params: { id } }))),
  );
  return new Map(contacts.flatMap((found) => (found ? [[found.body.id, found.body.name] as const] : [])));
}
