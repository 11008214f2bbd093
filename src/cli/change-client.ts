import type { InsideRequest } from '../admin/call-endpoint.ts';

import { KeyturnError } from '../errors.ts';
import { countOf } from '../text/count-text.ts';
import { callAdmin } from './call-admin.ts';
import { describeReview, type ShownReview } from './describe-regeneration.ts';
import type { Admin } from './stores.ts';
import { confirm, say, table } from './terminal.ts';

/** The review with which the admin API answers a change that would end what is in use. */
type ChangeReview = {
  confirmation: string;
  impact: {
    /** Present if the change would end keys, a certificate or a secret in use. */
    keys?: unknown[];
    scopes?: {
      scope: string;
      used_by: { client_id: string; name: string; last_used_at: Date | string }[];
      used_by_others: number;
      effect: 'removed' | 'renamed' | 'deprecated';
      replaced_by: string | null;
      held_by: { clients: number; access_keys: number };
    }[];
  };
};

/**
 * Changes a client. If that removes, renames or deprecates names of scopes that clients have or use, shows who uses them
 * and asks for confirmation. If
 * it would end keys in use, shows who uses them and how to rotate them.
 * @throws {CommandEnd} as `confirm`.
 */
export async function changeClient<Shown>(
  admin: Admin,
  request: InsideRequest,
  options: { yes?: true },
): Promise<Shown> {
  try {
    return await callAdmin<Shown>(admin, 'PATCH /clients/{client_id}', request);
  } catch (error) {
    const review =
      error instanceof KeyturnError ? (error.extension?.['review'] as ChangeReview | undefined) : undefined;
    if (review?.impact.keys) {
      say(describeReview(JSON.parse(JSON.stringify(review)) as ShownReview));
      say(
        `To rotate with a grace period, run keyturn clients regenerate ${request.params?.['client_id']} with the same options.`,
      );
    }
    if (!review?.impact.scopes) throw error;
    say(table(['scope', 'client_id', 'name', 'last used'], rowsOfUse(review.impact.scopes), process.stderr));
    for (const scope of review.impact.scopes) say(describeEffect(scope));
    await confirm('Change these scopes?', options);
    const body = { ...request.body, confirmation: review.confirmation };
    return await changeClient<Shown>(admin, { ...request, body }, options);
  }
}

type ScopeImpact = NonNullable<ChangeReview['impact']['scopes']>[number];

/** Returns a row for each client that used a scope. */
export function rowsOfUse(scopes: readonly Pick<ScopeImpact, 'scope' | 'used_by' | 'used_by_others'>[]): string[][] {
  return scopes.flatMap(({ scope, used_by: users, used_by_others: others }) => [
    ...users.map(({ client_id: id, name, last_used_at: at }) => [scope, id, name, new Date(at).toISOString()]),
    ...(others > 0 ? [[scope, `and ${others} more`, '', '']] : []),
  ]);
}

function describeEffect({ scope, effect, replaced_by: successor, held_by: held }: ScopeImpact): string {
  if (effect === 'deprecated') return `${scope} becomes deprecated. It stays valid for those who have it.`;
  if (effect === 'removed') {
    return `${scope} is removed. Token requests with it are rejected.${successor === null ? '' : ` ${successor} stays.`}`;
  }
  const holders = `${countOf(held.clients, 'integration')} and ${countOf(held.access_keys, 'access key')}`;
  return `${scope} is renamed to ${successor}. ${holders} get the new name, and token requests with the previous one are rejected.`;
}
