import type { Permission } from '../../../../contacts/contact.ts';
import type { Reply, Section, ShownClient, ShownRegeneration, Visit } from '../../page.ts';
import { nounOf } from '../clients/client-proof.ts';

/** The client or access key whose credential is rotated. */
export type Owner = {
  name: string;
  /** Path of its page. */
  at: `/console/${string}`;
  section: Section;
  /** The noun for its current credential. */
  noun: 'secret' | 'key' | 'certificate' | 'identity';
  /** A client can also get a new Client ID, and other keys or another certificate. Undefined for an access key. */
  client?: ShownClient | undefined;
};

/** The differences between rotating the credential of a client and an access key. */
export type RotationSubject<Regenerated> = {
  path: string;
  route: '/clients/{client_id}' | '/access-keys/{id}';
  permission: Permission;
  /** Returns the parameters of `route` from the page's address. */
  paramsOf(visit: Visit): Record<string, string>;
  findOwner(visit: Visit): Promise<Owner>;
  showNew(visit: Visit, regenerated: Regenerated): Promise<Reply>;
};

/** The nouns for the previous and the new credential of a rotation. */
export type Nouns = { previous: Owner['noun']; current: Owner['noun'] };

/** Returns the nouns for the previous and the new credential of a rotation. */
export function nounsOf(
  rotation: Pick<ShownRegeneration, 'auth_method' | 'previous'> | undefined,
  { client }: Pick<Owner, 'client'>,
): Nouns {
  // A rotation from a secret to a secret names no method.
  const of = (method: ShownRegeneration['auth_method']) => (method ? nounOf(method) : client ? 'secret' : 'key');
  return { previous: of(rotation?.previous.auth_method), current: of(rotation?.auth_method) };
}
