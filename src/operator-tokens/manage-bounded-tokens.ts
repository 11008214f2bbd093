import { randomUUID } from 'node:crypto';
import { appendAuditEvent } from '../audit/audit-log.ts';
import { holdOrganizations } from '../clients/hold-organizations.ts';
import type { Permission } from '../contacts/contact.ts';
import { type Grantor, requireUnbounded } from '../contacts/grantor.ts';
import { requireContact } from '../contacts/manage-contacts.ts';
import type { KeyRing } from '../credentials/key-ring.ts';
import { issueSecret } from '../credentials/secret.ts';
import { Forbidden, invalidField, NotFound } from '../errors.ts';
import { anyNetwork, type GivenNetworks, networkLimitOf } from '../http/allowed-networks.ts';
import type { Clock } from '../process/clock.ts';
import type { Queryable, Transaction } from '../storage/database.ts';
import { deploymentOrganization } from '../storage/organization-limit.ts';
import type { BoundedToken } from './bounded-token.ts';
import {
  acknowledgeBreakGlassUse,
  deleteBoundedToken,
  findBoundedToken,
  insertBoundedToken,
  lockBoundedToken,
  setEnd,
  setNetworks,
  type TokenPerson,
} from './bounded-token-store.ts';

type Deps = { keyRing: KeyRing; clock: Clock; config: { operatorTokenDays: number } };

export type NewToken = GivenNetworks & {
  contactId: string;
  name: string;
  /** Undefined: those of the contact. */
  permissions?: readonly Permission[] | undefined;
  organizationId?: string | null | undefined;
  /** Undefined: after 90 days. Null: never. */
  expiresAt?: Date | null | undefined;
  breakGlass?: boolean | undefined;
  /** The person at an identity provider who can end the token there. */
  person?: TokenPerson | undefined;
};

type Issued = { token: BoundedToken; plaintext: string };

const dayMs = 86_400_000;
const defaultDays = 90;

/**
 * Issues a token for a contact. No sealed copy is kept.
 * @throws {Forbidden} if the operator lacks a permission of the token, or itself uses a bounded token.
 */
export async function issueBoundedToken(
  transaction: Transaction,
  deps: Deps,
  grantor: Grantor,
  input: NewToken,
): Promise<Issued> {
  const at = new Date(deps.clock());
  const contact = await requireContact(transaction, input.contactId);
  requireUnbounded(grantor);
  const permissions = input.permissions ?? contact.permissions.filter((each) => grantor.permissions.includes(each));
  requireHeld(grantor, permissions);
  const beyond = permissions.filter((permission) => !contact.permissions.includes(permission));
  if (beyond.length > 0) throw invalidField('permissions', `the contact does not have ${beyond.join(', ')}`);
  const organizationId = input.organizationId ?? null;
  if (organizationId !== null) {
    if (contact.organizationId !== deploymentOrganization && contact.organizationId !== organizationId) {
      throw invalidField('organization_id', 'the contact belongs to another organization');
    }
    (await holdOrganizations(transaction, [organizationId]))(organizationId);
  }
  const token: Omit<BoundedToken, 'hint'> = {
    id: randomUUID(),
    contactId: contact.id,
    contactName: contact.name,
    name: input.name,
    permissions,
    organizationId,
    ...networkLimitOf(input, anyNetwork),
    breakGlass: input.breakGlass ?? false,
    createdAt: at,
    expiresAt: endOf(deps, input.expiresAt, at),
    lastUsedAt: null,
  };
  const issued = await store(transaction, deps, token, input.person);
  await audit(transaction, grantor, at, 'issue_bounded', issued.token, { after: auditView(issued.token) });
  return issued;
}

/** Returns the end of a new token. @throws {InvalidInput} if the deployment does not allow it. */
function endOf({ config }: Deps, asked: Date | null | undefined, at: Date): Date | null {
  const days = config.operatorTokenDays;
  if (asked === undefined) return new Date(at.getTime() + Math.min(days || defaultDays, defaultDays) * dayMs);
  if (asked !== null && asked <= at) throw invalidField('expires_at', 'must be in the future');
  if (days > 0 && (asked === null || asked.getTime() > at.getTime() + days * dayMs)) {
    throw invalidField('expires_at', `must be within ${days} days (KEYTURN_OPERATOR_TOKEN_DAYS)`);
  }
  return asked;
}

async function store(
  transaction: Transaction,
  { keyRing }: Deps,
  token: Omit<BoundedToken, 'hint'>,
  person?: TokenPerson,
): Promise<Issued> {
  const { plaintext, sealed: _none, hint, ...verifier } = issueSecret(keyRing, 'kto_', 'operator-token-pepper', null);
  const made = { ...token, hint };
  await insertBoundedToken(transaction, made, verifier, person);
  return { token: made, plaintext };
}

/**
 * Replaces a token by a new one with the same limits and the same length of life. The previous one works until its grace
 * period ends.
 */
export async function rotateBoundedToken(
  transaction: Transaction,
  deps: Deps,
  grantor: Grantor,
  id: string,
  overlapSeconds: number,
): Promise<Issued & { previousEndsAt: Date }> {
  const at = new Date(deps.clock());
  const previous = await requireToken(transaction, grantor, id, at);
  // A token may replace itself, so that a program can rotate it.
  if (grantor.boundedToken !== id) requireUnbounded(grantor);
  requireHeld(grantor, previous.permissions);
  const life = previous.expiresAt && previous.expiresAt.getTime() - previous.createdAt.getTime();
  const graceEnd = new Date(at.getTime() + overlapSeconds * 1_000);
  const previousEndsAt = previous.expiresAt && previous.expiresAt < graceEnd ? previous.expiresAt : graceEnd;
  const issued = await store(transaction, deps, {
    ...previous,
    id: randomUUID(),
    createdAt: at,
    expiresAt: endOf(deps, life === null ? null : new Date(at.getTime() + life), at),
    lastUsedAt: null,
  });
  await setEnd(transaction, id, previousEndsAt);
  await audit(transaction, grantor, at, 'rotate_bounded', issued.token, {
    before: { id, hint: previous.hint, ends_at: previousEndsAt.toISOString() },
    after: auditView(issued.token),
  });
  return { ...issued, previousEndsAt };
}

/**
 * Changes the networks that a token is accepted from.
 * @throws {Forbidden} if the operator uses a bounded token, which must not shed its own limits or those of others.
 */
export async function changeNetworks(
  transaction: Transaction,
  deps: { clock: Clock },
  grantor: Grantor,
  id: string,
  given: GivenNetworks,
): Promise<BoundedToken> {
  const at = new Date(deps.clock());
  const token = await requireToken(transaction, grantor, id, at);
  requireUnbounded(grantor);
  requireHeld(grantor, token.permissions);
  const changed = { ...token, ...networkLimitOf(given, token) };
  await setNetworks(transaction, id, changed, at);
  await audit(transaction, grantor, at, 'update_bounded', changed, {
    before: auditView(token),
    after: auditView(changed),
  });
  return changed;
}

/** Ends a token at once. */
export async function revokeBoundedToken(
  transaction: Transaction,
  deps: { clock: Clock },
  grantor: Grantor,
  id: string,
): Promise<void> {
  const at = new Date(deps.clock());
  const token = await requireToken(transaction, grantor, id, at);
  await deleteBoundedToken(transaction, id, at);
  await audit(transaction, grantor, at, 'revoke_bounded', token, { before: auditView(token) });
}

/**
 * Acknowledges the use of a break-glass token, which then no longer needs attention until it is used again.
 * @throws {Forbidden} for the token itself: somebody else has to see its use.
 * @throws {NotFound} if it was never used.
 */
export async function acknowledgeUse(
  transaction: Transaction,
  deps: { clock: Clock },
  grantor: Grantor,
  id: string,
): Promise<void> {
  if (grantor.boundedToken === id) throw new Forbidden('An operator token cannot acknowledge its own use.');
  const at = new Date(deps.clock());
  const use = await acknowledgeBreakGlassUse(transaction, id, at);
  if (!use) throw new NotFound('operator token');
  await appendAuditEvent(transaction, {
    at,
    actor: grantor,
    action: 'operator.break_glass_acknowledged',
    targetType: 'operator_token',
    target: use.contactId ?? id,
    after: { id, name: use.name },
  });
}

/** Finds a token that the operator may see. @throws {NotFound} */
export async function requireShownToken(
  database: Queryable,
  grantor: Grantor,
  id: string,
  at: Date,
): Promise<BoundedToken> {
  return requireVisible(grantor, await findBoundedToken(database, id, at));
}

/** Finds a token of the operator, or of anyone if the operator may manage contacts. @throws {NotFound} */
async function requireToken(transaction: Transaction, grantor: Grantor, id: string, at: Date): Promise<BoundedToken> {
  return requireVisible(grantor, await lockBoundedToken(transaction, id, at));
}

function requireVisible(grantor: Grantor, token: BoundedToken | undefined): BoundedToken {
  const isOwn = token?.contactId === grantor.id;
  if (!token || !(isOwn || grantor.permissions.includes('contacts:manage'))) throw new NotFound('operator token');
  return token;
}

function requireHeld(grantor: Grantor, permissions: readonly Permission[]): void {
  const lacking = permissions.filter((permission) => !grantor.permissions.includes(permission));
  if (lacking.length > 0) {
    throw new Forbidden(`You need every permission of the token. You do not have: ${lacking.join(', ')}.`);
  }
}

async function audit(
  transaction: Transaction,
  actor: Grantor,
  at: Date,
  verb: string,
  { contactId: target }: BoundedToken,
  states: { before?: Record<string, unknown>; after?: Record<string, unknown> },
): Promise<void> {
  const action = `operator_token.${verb}`;
  await appendAuditEvent(transaction, { at, actor, action, targetType: 'operator_token', target, ...states });
}

function auditView(token: BoundedToken): Record<string, unknown> {
  return {
    id: token.id,
    name: token.name,
    hint: token.hint,
    permissions: token.permissions,
    organization_id: token.organizationId,
    allowed_networks: token.allowedNetworks,
    network_mode: token.networkMode,
    break_glass: token.breakGlass,
    expires_at: token.expiresAt,
  };
}
