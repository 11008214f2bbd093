import type { InsideRequest } from '../admin/call-endpoint.ts';

import { KeyturnError } from '../errors.ts';
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
      used_by: { client_id: string; name: string; last_used_at: Date }[];
      used_by_others: number;
    }[];
  };
};

/**
 * Changes a client. If that removes names of scopes that clients use, shows who uses them and asks for confirmation. If
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
    const rows = review.impact.scopes.flatMap(({ scope, used_by: users, used_by_others: others }) => [
      ...users.map(({ client_id: id, name, last_used_at: at }) => [scope, id, name, new Date(at).toISOString()]),
      ...(others > 0 ? [[scope, `and ${others} more`, '', '']] : []),
    ]);
    say(table(['scope', 'client_id', 'name', 'last used'], rows, process.stderr));
    await confirm(
      'Clients used these names in the last 30 days. Remove them? Token requests with them are rejected.',
      options,
    );
    const body = { ...request.body, confirmation: review.confirmation };
    return await changeClient<Shown>(admin, { ...request, body }, options);
  }
}
