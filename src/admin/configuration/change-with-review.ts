import { KeyturnError } from '../../errors.ts';
import { authenticationFields } from './client-kinds.ts';
import { pick } from './compare-documents.ts';
import { type Change, type Cut, labelOf, type NewSecret } from './configuration-change.ts';
import type { Kind, Members, Thing } from './configuration-kind.ts';
import type { Work } from './configuration-work.ts';

/** Changes of clients, some of which need the confirmation of a review. */

type ScopeEffect = {
  scope: string;
  effect: 'removed' | 'renamed' | 'deprecated';
  used_by: { name: string; last_used_at: string }[];
};
type SourceUse = { address: string; user_agent: string; last_seen_at: string };
type Review = { confirmation: string; impact: { scopes?: ScopeEffect[]; used_by?: SourceUse[] } };

/**
 * Changes the members of a client. Keys, certificates and ways of authentication that are in use are rotated, so that the
 * previous ones work until their grace period ends.
 * @returns what the reviews say about it.
 */
export async function changeClient(
  work: Work,
  kind: Kind,
  thing: Thing,
  members: Members,
  document: Members,
  revision: string | undefined,
): Promise<Cut[]> {
  const { world } = work;
  const params = { client_id: thing.id };
  const others = Object.fromEntries(Object.entries(members).filter(([name]) => !authenticationFields.includes(name)));
  const isOther = authenticationFields.some((name) => name in members) || 'auth_method' in members;
  const replace = { auth_method: 'client_secret_basic', ...pick(document, authenticationFields) };
  const body = await kind.write(isOther ? { ...others, ...replace } : others, world, document);
  const change = (more: Members) => world.call('PATCH /clients/{client_id}', { params, body: more }, revision);
  try {
    await change(body);
    return [];
  } catch (error) {
    const review = reviewOf(error);
    if (!review) throw error;
    const { confirmation, impact } = review;
    if (impact.scopes) {
      await change({ ...body, confirmation });
      return impact.scopes.filter(({ effect }) => effect !== 'deprecated').map(describeScope);
    }
    const rotated = await world.call('POST /clients/{client_id}/regenerate', {
      params,
      body: { confirmation, replace },
    });
    work.secrets.push(...presentCreated(rotated.body, labelOf(kind, document, thing), thing.id));
    const cut = {
      what: 'what it authenticates with is replaced, and works for 24 hours more',
      used_by: (impact.used_by ?? []).map((use) => ({ name: nameOfSource(use), last_used_at: use.last_seen_at })),
    };
    if (Object.keys(others).length === 0) return [cut];
    return [cut, ...(await changeClient(work, kind, thing, others, document, undefined))];
  }
}

/** Returns the name of a program that uses a credential. */
export function nameOfSource({ address, user_agent: userAgent }: { address: string; user_agent: string }): string {
  return [address, userAgent].filter(Boolean).join(' ');
}

function describeScope({ scope, effect, used_by: users }: ScopeEffect): Cut {
  return {
    what: effect === 'renamed' ? `the name ${scope} is rejected` : `the scope ${scope} is removed`,
    used_by: users.map(({ name, last_used_at: at }) => ({ name, last_used_at: at })),
  };
}

function reviewOf(error: unknown): Review | undefined {
  const isReview = error instanceof KeyturnError && error.code === 'confirmation_required';
  return isReview ? (error.extension?.['review'] as Review) : undefined;
}

/** Returns the secret in the answer of a request that generated one. */
export function presentCreated(
  { client_secret: clientSecret, signing_secret: signingSecret }: Members,
  label: Pick<Change, 'kind' | 'name' | 'organization'>,
  id: string,
): NewSecret[] {
  const secret = clientSecret ?? signingSecret;
  return typeof secret === 'string' ? [{ ...label, id, secret }] : [];
}
