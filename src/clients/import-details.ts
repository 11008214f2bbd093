import { dialectsProblem } from '../configuration/dialects.ts';
import { networksProblem } from '../http/allowed-networks.ts';
import type { Queryable } from '../storage/database.ts';
import {
  contactsProblem,
  descriptionProblem,
  labelsProblem,
  metadataProblem,
  noDetails,
  tokenLifetimes,
} from './client-details.ts';
import { claimsProblem } from './custom-claims.ts';
import type { ForeignClient } from './foreign-client.ts';
import { detailsOf } from './given-details.ts';

/** Checks the details of imported clients, and finds their owners. */

/** Returns why the details of a client cannot be imported. */
export function detailProblems({ details: given, scope }: ForeignClient): string[] {
  if (!given) return [];
  const { tokenTtlSeconds: ttl, defaultScope, dialects, claims, details, allowedNetworks } = detailsOf(given);
  const { description, labels, metadata, contacts } = details ?? noDetails;
  const isLifetime = ttl === null || (Number.isInteger(ttl) && ttl >= tokenLifetimes.min && ttl <= tokenLifetimes.max);
  const excess = defaultScope?.filter((one) => !scope.includes(one)) ?? [];
  const problems = {
    description: description === null ? undefined : descriptionProblem(description),
    labels: labelsProblem(labels),
    metadata: metadataProblem(metadata),
    contacts: contactsProblem(contacts),
    access_token_ttl: isLifetime ? undefined : `must be ${tokenLifetimes.min} to ${tokenLifetimes.max} seconds`,
    default_scope: excess.length > 0 ? 'has a scope that is not in its `scope`' : undefined,
    dialects: dialectsProblem(dialects),
    claims: claimsProblem(claims),
    allowed_networks: networksProblem(allowedNetworks),
  };
  return Object.entries(problems).flatMap(([field, problem]) => (problem ? [`\`${field}\` ${problem}`] : []));
}

/** Contacts by what files call them; undefined if no contact or several have that name. */
type Owners = Map<string, string | undefined>;

/**
 * Returns clients with the IDs of the contacts who own them. A file names an owner by the ID, the external ID or the
 * e-mail address of a contact. An owner who is not found is reported as a note.
 * @param owners owners that were found so far; those of these clients are added.
 */
export async function withOwners(
  database: Queryable,
  rows: readonly ForeignClient[],
  owners: Owners,
): Promise<ForeignClient[]> {
  const names = new Set(rows.flatMap(({ owners: asked = [] }) => asked).filter((name) => !owners.has(name)));
  if (names.size > 0) await findOwners(database, [...names], owners);
  return rows.map((row) => {
    const { owners: asked = [] } = row;
    if (asked.length === 0) return row;
    const ownerContactId = asked.map((name) => owners.get(name)).find((id) => id !== undefined);
    if (ownerContactId !== undefined) return { ...row, details: { ...row.details, ownerContactId } };
    const note =
      'no contact has its owner as external ID or e-mail address; set the owner with `keyturn clients update`';
    return { ...row, notes: [...row.notes, note] };
  });
}

async function findOwners(database: Queryable, names: readonly string[], owners: Owners): Promise<void> {
  const lowered = names.map((name) => name.toLowerCase());
  const found = await database.query<{ id: string; external_id: string | null; email: string }>(
    `SELECT id, external_id, lower(email) AS email FROM contacts
     WHERE id::text = ANY ($1::text[]) OR external_id = ANY ($2::text[]) OR lower(email) = ANY ($1::text[])`,
    [lowered, names],
  );
  for (const name of names) {
    const low = name.toLowerCase();
    const matches = [
      found.filter(({ id }) => id === low),
      found.filter(({ external_id: externalId }) => externalId === name),
      found.filter(({ email }) => email === low),
    ].find((list) => list.length > 0);
    owners.set(name, matches?.length === 1 ? matches[0]?.id : undefined);
  }
}
