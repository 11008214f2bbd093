import { appendAuditEvent, type CommitChange } from '../audit/audit-log.ts';
import { type Contact, reachOf } from '../contacts/contact.ts';
import type { Grantor } from '../contacts/grantor.ts';
import { authenticateOperator } from '../contacts/manage-contacts.ts';
import { isWellFormedSecret } from '../credentials/credential-format.ts';
import type { KeyRing } from '../credentials/key-ring.ts';
import { verifiersOf } from '../credentials/verifier.ts';
import { refusalOfNetwork } from '../http/allowed-networks.ts';
import type { Clock } from '../process/clock.ts';
import type { Queryable } from '../storage/database.ts';
import type { UsageCounter } from '../usage/usage-counter.ts';
import { findPresentedToken, noteUseOf, type PresentedToken, recordBreakGlassUse } from './bounded-token-store.ts';

type Deps = {
  database: Queryable;
  keyRing: KeyRing;
  clock: Clock;
  change: CommitChange;
  metrics: { brokeGlass(): void };
  usage: Pick<UsageCounter, 'used' | 'refused'>;
};

/** How exactly the last use is recorded, so that not every request writes. */
const usedEveryMs = 60_000;

/**
 * Returns the operator that presents a token: a contact's operator token, or a bounded one, with what both it and its
 * contact may do. Returns undefined if the token is not accepted, which all reasons have in common.
 */
export async function findOperator(deps: Deps, token: string, address: string): Promise<Grantor | undefined> {
  const contact = await authenticateOperator(deps, token);
  if (contact) return asOperator(contact, address);
  if (!isWellFormedSecret(token, 'kto_')) return undefined;
  const verifiers = verifiersOf(deps.keyRing, 'operator-token-pepper', token);
  const now = new Date(deps.clock());
  const found = await findPresentedToken(deps.database, verifiers, now);
  if (!found?.isOrganizationEnabled) return undefined;
  const presented = { owner: found.id, generation: 1, epoch: 0, networks: found };
  const source = { address, userAgent: '' };
  const refusal = refusalOfNetwork(found, address);
  if (refusal) {
    deps.usage.refused(presented, source, refusal);
    return undefined;
  }
  deps.usage.used(presented, source);
  const operator: Grantor = {
    id: found.contactId,
    name: found.contactName,
    permissions: found.permissions.filter((permission) => found.contactPermissions.includes(permission)),
    organizationId: reachOf({ organizationId: found.contactOrganization }) ?? found.organizationId,
    address,
    boundedToken: found.id,
    breakGlass: found.breakGlass,
  };
  await noteUse(deps, found, operator, now);
  return operator;
}

function asOperator(contact: Contact, address: string): Grantor {
  const { id, name, permissions } = contact;
  return { id, name, permissions, organizationId: reachOf(contact), address };
}

/** Records the use. The use of a break-glass token is audited before the request is served. */
async function noteUse(deps: Deps, token: PresentedToken, operator: Grantor, now: Date): Promise<void> {
  const { lastUsedAt } = token;
  if (token.breakGlass) deps.metrics.brokeGlass();
  if (lastUsedAt && now.getTime() - lastUsedAt.getTime() < usedEveryMs) return;
  const isFirst = await noteUseOf(deps.database, token.id, now, new Date(now.getTime() - usedEveryMs));
  if (!isFirst || !token.breakGlass) return;
  await deps.change(async (transaction) => {
    await recordBreakGlassUse(transaction, token, now);
    await appendAuditEvent(transaction, {
      at: now,
      actor: operator,
      action: 'operator.break_glass_used',
      targetType: 'operator_token',
      target: token.contactId,
      after: { id: token.id, name: token.name, hint: token.hint },
    });
  });
}
