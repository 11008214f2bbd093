import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { type AuditEvent, appendAuditEvent } from '../audit/audit-log.ts';
import { holdOrganizations } from '../clients/hold-organizations.ts';
import type { Grantor } from '../contacts/grantor.ts';
import type { KeyRing } from '../credentials/key-ring.ts';
import { Forbidden, invalidField, NotFound, requireRevision } from '../errors.ts';
import type { Clock } from '../process/clock.ts';
import { deleteSessionsOfProvider } from '../sessions/session-store.ts';
import type { Transaction } from '../storage/database.ts';
import { recordDistrusted } from '../storage/lost-rows.ts';
import { deploymentOrganization } from '../storage/organization-limit.ts';
import { defaultScope, type IdentityProvider } from './identity-provider.ts';
import { deleteProviderRow, insertProvider, lockProvider, saveProvider } from './identity-provider-store.ts';

type Deps = { keyRing: KeyRing; clock: Clock };

type Given = Omit<IdentityProvider, 'id' | 'revision' | 'createdAt' | 'updatedAt'>;
export type ProviderInput = { [Field in keyof Given]?: Given[Field] | undefined };

/** @throws {Forbidden} if the operator gives permissions or e-mail domains that it must not give. */
export async function createProvider(
  transaction: Transaction,
  deps: Deps,
  grantor: Grantor,
  input: ProviderInput & Pick<Given, 'name' | 'issuer' | 'clientId'>,
): Promise<IdentityProvider> {
  const at = new Date(deps.clock());
  const defaults = {
    organizationId: deploymentOrganization,
    clientSecret: null,
    scope: defaultScope,
    claim: 'groups',
    grants: [],
    createsContacts: true,
    linksByEmail: false,
    acrValues: [],
    emailDomains: [],
    enabled: true,
  };
  const own = { id: randomUUID(), revision: 1, createdAt: at, updatedAt: at };
  const provider: IdentityProvider = { ...defaults, ...withoutUndefined(input), ...own };
  await checkProvider(transaction, grantor, provider);
  await insertProvider(transaction, deps.keyRing, provider);
  await audit(transaction, grantor, at, 'create', provider, { after: auditView(provider) });
  return provider;
}

/** Changes the given members only. People who signed in there sign in again if what decides on them changes. */
export async function updateProvider(
  transaction: Transaction,
  deps: Deps,
  grantor: Grantor,
  id: string,
  patch: ProviderInput,
  expectedRevisions?: readonly number[],
): Promise<IdentityProvider> {
  const at = new Date(deps.clock());
  const provider = await requireProvider(transaction, deps, id);
  requireRevision(provider.revision, expectedRevisions);
  if (Object.values(patch).every((value) => value === undefined)) return provider;
  const changed: IdentityProvider = {
    ...provider,
    ...withoutUndefined(patch),
    organizationId: provider.organizationId,
  };
  // Also the grants before the change, because the new issuer decides which people get them.
  await checkProvider(transaction, grantor, provider);
  await checkProvider(transaction, grantor, changed);
  await saveProvider(transaction, deps.keyRing, changed, at);
  if (!isDeepStrictEqual({ ...changed, name: provider.name }, provider)) {
    await recordDistrusted(transaction, 'identity_providers', id, at);
  }
  await deleteSessionsOfProvider(transaction, id, at);
  const saved = { ...changed, revision: provider.revision + 1, updatedAt: at };
  await audit(transaction, grantor, at, 'update', saved, { before: auditView(provider), after: auditView(saved) });
  return saved;
}

/** Deletes a provider, and ends the sessions of people who signed in there. Their contacts stay. */
export async function deleteProvider(
  transaction: Transaction,
  deps: Deps,
  grantor: Grantor,
  id: string,
): Promise<void> {
  const at = new Date(deps.clock());
  const provider = await requireProvider(transaction, deps, id);
  await checkProvider(transaction, grantor, provider);
  await deleteSessionsOfProvider(transaction, id, at);
  await deleteProviderRow(transaction, id, at);
  await audit(transaction, grantor, at, 'delete', provider, { before: auditView(provider) });
}

async function requireProvider(transaction: Transaction, { keyRing }: Deps, id: string): Promise<IdentityProvider> {
  const provider = await lockProvider(transaction, keyRing, id);
  if (!provider) throw new NotFound('identity provider');
  return provider;
}

async function checkProvider(transaction: Transaction, grantor: Grantor, provider: IdentityProvider): Promise<void> {
  const { organizationId, grants, emailDomains } = provider;
  const lacking = grants.flatMap(({ permissions }) =>
    permissions.filter((each) => !grantor.permissions.includes(each)),
  );
  if (lacking.length > 0) {
    throw new Forbidden(
      `You need every permission that the provider gives. You do not have: ${[...new Set(lacking)].join(', ')}.`,
    );
  }
  // People of another organization could otherwise be sent to this provider.
  if (grantor.organizationId !== null && emailDomains.length > 0) {
    throw new Forbidden('Only operators of the deployment itself may set the e-mail domains of a provider.');
  }
  const others = grants.flatMap((grant) => grant.organizationId ?? []).filter((id) => id !== organizationId);
  if (others.length > 0 && organizationId !== deploymentOrganization) {
    const message = 'only a provider of the deployment can give permissions in another organization';
    throw invalidField('grants', message);
  }
  const held = await holdOrganizations(transaction, [organizationId, ...others]);
  for (const id of [organizationId, ...others]) held(id);
}

function withoutUndefined<Members extends object>(
  members: Members,
): { [Name in keyof Members]: Exclude<Members[Name], undefined> } {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as never;
}

async function audit(
  transaction: Transaction,
  actor: Grantor,
  at: Date,
  verb: 'create' | 'update' | 'delete',
  { id: target, organizationId }: IdentityProvider,
  states: Pick<AuditEvent, 'before' | 'after'>,
): Promise<void> {
  const about = { targetType: 'identity_provider' as const, target, organizationId };
  await appendAuditEvent(transaction, { at, actor, action: `identity_provider.${verb}`, ...about, ...states });
}

function auditView(provider: IdentityProvider): Record<string, unknown> {
  return {
    organization_id: provider.organizationId,
    name: provider.name,
    issuer: provider.issuer,
    client_id: provider.clientId,
    has_client_secret: provider.clientSecret !== null,
    scope: provider.scope,
    claim: provider.claim,
    grants: provider.grants,
    creates_contacts: provider.createsContacts,
    links_by_email: provider.linksByEmail,
    acr_values: provider.acrValues,
    email_domains: provider.emailDomains,
    enabled: provider.enabled,
  };
}
