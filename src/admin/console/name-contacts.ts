import type { ShownContact } from './shown.ts';
import { unlessMissing } from './unless-missing.ts';
import type { Visit } from './visit.ts';

/** The names of some contacts, by their ids. */
export async function nameContacts(visit: Visit, ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const contacts = await Promise.all(
    [...new Set(ids)].map((id) => unlessMissing(visit.call<ShownContact>('GET /contacts/{id}', { params: { id } }))),
  );
  return new Map(contacts.flatMap((found) => (found ? [[found.body.id, found.body.name] as const] : [])));
}
