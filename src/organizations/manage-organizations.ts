import { createHash, randomUUID } from 'node:crypto';
import { type Actor, type AuditEvent, appendAuditEvent } from '../audit/audit-log.ts';
import { type Ceiling, ceilingExceeded, nameGrants, noCeiling, scopesBeyond } from '../clients/ceiling.ts';
import type { Labels } from '../clients/client-details.ts';
import { listResourceServers } from '../clients/client-store.ts';
import { findLimitedGrants } from '../clients/hold-organizations.ts';
import { deleteClient, type ManageDeps } from '../clients/manage-clients.ts';
import { isOffered } from '../clients/offered-scopes.ts';
import { raiseEveryTokenEpoch } from '../clients/token-epochs.ts';
import type { Grantor } from '../contacts/grantor.ts';
import { deleteContact } from '../contacts/manage-contacts.ts';
import { Conflict, InvalidInput, NotFound, requireRevision } from '../errors.ts';
import type { Clock } from '../process/clock.ts';
import { recordChange } from '../storage/change.ts';
import { type Transaction, unlessTaken } from '../storage/database.ts';
import type { Organization } from './organization.ts';
import {
  announceHoldings,
  countHoldings,
  deleteCopies,
  deleteOrganizationRow,
  findLive,
  findMembers,
  findOutliving,
  insertOrganization,
  isDeployment,
  lockOrganization,
  saveOrganization,
} from './organization-store.ts';
import { noPortalSettings, type PortalSettings } from './portal-settings.ts';

type Deps = { clock: Clock };

type GivenOrganization = {
  name: string;
  externalId?: string | null | undefined;
  labels?: Labels | undefined;
  ceiling?: { [Limit in keyof Ceiling]?: Ceiling[Limit] | undefined } | undefined;
  portal?: { [Member in keyof PortalSettings]?: PortalSettings[Member] | undefined } | undefined;
};

export async function createOrganization(
  transaction: Transaction,
  deps: Deps,
  actor: Actor,
  input: GivenOrganization,
): Promise<Organization> {
  const at = new Date(deps.clock());
  const organization: Organization = {
    id: randomUUID(),
    name: input.name,
    externalId: input.externalId ?? null,
    enabled: true,
    labels: input.labels ?? {},
    ceiling: withGiven(noCeiling, input.ceiling),
    portal: withGiven(noPortalSettings, input.portal),
    revision: 1,
    createdAt: at,
    updatedAt: at,
  };
  await requireOfferedCeiling(transaction, input.ceiling?.scopes);
  await unlessTaken(insertOrganization(transaction, organization), externalIdTaken);
  await audit(transaction, actor, at, 'create', organization, { after: auditView(organization) });
  return organization;
}

/**
 * Changes the given members and limits only. A ceiling cannot be lower than what the organization has. If secrets must
 * not be shown again, their copies are deleted.
 * @param expectedRevisions from If-Match; undefined accepts any revision.
 * @throws {Conflict} `ceiling_exceeded` with what is beyond the new ceiling, or `deployment_organization`.
 */
export async function updateOrganization(
  transaction: Transaction,
  deps: Deps,
  actor: Actor,
  id: string,
  patch: { [Field in keyof GivenOrganization]?: GivenOrganization[Field] | undefined },
  expectedRevisions?: readonly number[],
): Promise<Organization> {
  const at = new Date(deps.clock());
  const organization = await requireOrganization(transaction, id);
  requireRevision(organization.revision, expectedRevisions);
  if (Object.values(patch).every((value) => value === undefined)) return organization;
  const changed: Organization = {
    ...organization,
    name: patch.name ?? organization.name,
    externalId: patch.externalId === undefined ? organization.externalId : patch.externalId,
    labels: patch.labels ?? organization.labels,
    ceiling: withGiven(organization.ceiling, patch.ceiling),
    portal: withGiven(organization.portal, patch.portal),
  };
  if (patch.ceiling) {
    requireNotDeployment(organization, 'have a ceiling');
    await requireOfferedCeiling(transaction, patch.ceiling.scopes);
    await requireWithin(transaction, changed);
    if (organization.ceiling.reveal && !changed.ceiling.reveal) await deleteCopies(transaction, id);
  }
  const saved = await unlessTaken(saveOrganization(transaction, changed, at), externalIdTaken);
  await audit(transaction, actor, at, 'update', saved, { before: auditView(organization), after: auditView(saved) });
  return saved;
}

/**
 * Enables or disables an organization. Disabling it ends all tokens of its clients, which stay invalid when it is enabled
 * again. Tokens that others obtained with its access keys are inactive while it is disabled.
 * @throws {Conflict} `deployment_organization`
 */
export async function setOrganizationEnabled(
  transaction: Transaction,
  deps: Deps,
  actor: Actor,
  id: string,
  enabled: boolean,
): Promise<Organization> {
  const at = new Date(deps.clock());
  const organization = await requireOrganization(transaction, id);
  requireNotDeployment(organization, 'be disabled');
  if (organization.enabled === enabled) return organization;
  if (!enabled) await raiseEveryTokenEpoch(transaction, at, id);
  const kind = enabled ? 'enabled_organization' : 'disabled_organization';
  await recordChange(transaction, { kind, target: id, at });
  await announceHoldings(transaction, id, at);
  const saved = await saveOrganization(transaction, { ...organization, enabled }, at);
  const states = { before: auditView(organization), after: auditView(saved) };
  await audit(transaction, actor, at, enabled ? 'enable' : 'disable', saved, states);
  return saved;
}

/**
 * Deletes an organization with its disabled clients and its contacts. Their history stays in the audit log.
 * @throws {Conflict} `organization_is_live` with enabled clients, live access keys and operators, or
 *   `deployment_organization`.
 */
export async function deleteOrganization(
  transaction: Transaction,
  deps: ManageDeps,
  grantor: Grantor,
  id: string,
): Promise<void> {
  const at = new Date(deps.clock());
  const organization = await requireOrganization(transaction, id);
  requireNotDeployment(organization, 'be deleted');
  const live = await findLive(transaction, id, at);
  if (live.length > 0) {
    throw new Conflict(
      'organization_is_live',
      'The organization has enabled clients, enabled access keys or operator tokens. Disable or revoke them first.',
      {
        ...nameGrants(live),
        operators: live
          .filter(({ kind }) => kind === 'operator_token')
          .slice(0, 10)
          .map(({ id: contact, name }) => ({ id: contact, name })),
      },
    );
  }
  const { clientIds, contactIds } = await findMembers(transaction, id);
  for (const clientId of clientIds) await deleteClient(transaction, deps, grantor, clientId);
  for (const contactId of contactIds) await deleteContact(transaction, deps, grantor, contactId);
  await deleteOrganizationRow(transaction, id);
  await audit(transaction, grantor, at, 'delete', organization, { before: auditView(organization) });
}

/** Returns the organization, locked. @throws {NotFound} */
async function requireOrganization(transaction: Transaction, id: string): Promise<Organization> {
  const organization = await lockOrganization(transaction, id);
  if (!organization) throw new NotFound('organization');
  return organization;
}

function requireNotDeployment(organization: Organization, what: string): void {
  if (!isDeployment(organization)) return;
  throw new Conflict('deployment_organization', `The organization of the deployment itself cannot ${what}.`);
}

/** Returns the members with those that are given. */
function withGiven<T extends object>(before: T, given: object | undefined): T {
  const defined = Object.entries(given ?? {}).filter(([, member]) => member !== undefined);
  return { ...before, ...Object.fromEntries(defined) };
}

/** @throws {InvalidInput} naming resources that no resource server has, and scopes that it does not offer. */
async function requireOfferedCeiling(transaction: Transaction, scopes: Ceiling['scopes'] | undefined): Promise<void> {
  if (!scopes) return;
  const servers = await listResourceServers(transaction);
  const issues = scopes.flatMap(({ resource, scope }, index) => {
    const path = `ceiling.scopes.${index}`;
    const server = servers.find((each) => each.resource === resource);
    if (!server) return [{ path: `${path}.resource`, message: `no resource server has the identifier ${resource}` }];
    if (scopes.findIndex((each) => each.resource === resource) < index) {
      return [{ path: `${path}.resource`, message: `${resource} is repeated` }];
    }
    const unknown = scope.filter((item) => !isOffered(server, item));
    return unknown.map((item) => ({ path: `${path}.scope`, message: `${resource} does not offer ${item}` }));
  });
  if (issues.length === 0) return;
  throw new InvalidInput(issues.map(({ path, message }) => `${path}: ${message}`).join('; '), issues);
}

/** @throws {Conflict} `ceiling_exceeded` unless everything that the locked organization has is within its ceiling. */
async function requireWithin(transaction: Transaction, { id, ceiling }: Organization): Promise<void> {
  const holdings = (await countHoldings(transaction, [id])).get(id);
  const counts = [
    ['integrations', ceiling.integrations, holdings?.integrations ?? 0],
    ['enabled access keys', ceiling.accessKeys, holdings?.accessKeys ?? 0],
  ] as const;
  for (const [noun, max, count] of counts) {
    if (max !== null && count > max) {
      throw ceilingExceeded(`The organization has ${count} ${noun}, which is more than ${max}.`);
    }
  }
  if (ceiling.scopes) {
    const servers = await listResourceServers(transaction);
    const grants = await findLimitedGrants(transaction, id, null);
    const beyond = grants.filter((grant) => scopesBeyond(ceiling, grant, servers).length > 0);
    if (beyond.length > 0) {
      throw ceilingExceeded(
        'Integrations or access keys have scopes that the ceiling would not allow. Remove the scopes first.',
        nameGrants(beyond),
      );
    }
  }
  if (ceiling.keyLifetimeSeconds !== null) {
    const outliving = await findOutliving(transaction, id, ceiling.keyLifetimeSeconds);
    if (outliving.length > 0) {
      throw ceilingExceeded(
        'Access keys expire later than the ceiling would allow, or never. Change their expiry, or disable them first.',
        nameGrants(outliving),
      );
    }
  }
}

function externalIdTaken(): Conflict {
  return new Conflict('external_id_taken', 'external_id: another organization already has this ID.');
}

/** Returns an organization as the audit log records it. */
function auditView({ name, externalId, enabled, labels, ceiling, portal }: Organization): Record<string, unknown> {
  const { logo, ...look } = portal;
  return {
    name,
    external_id: externalId,
    enabled,
    labels,
    ceiling: {
      scopes: ceiling.scopes,
      integrations: ceiling.integrations,
      access_keys: ceiling.accessKeys,
      key_lifetime: ceiling.keyLifetimeSeconds,
      reveal: ceiling.reveal,
    },
    // The picture itself would be most of the audit log.
    portal: { ...look, logo: logo && createHash('sha256').update(logo).digest('hex') },
  };
}

function audit(
  transaction: Transaction,
  actor: Actor,
  at: Date,
  verb: string,
  { id }: Organization,
  states: Pick<AuditEvent, 'before' | 'after'>,
): Promise<void> {
  const action = `organization.${verb}`;
  return appendAuditEvent(transaction, {
    at,
    actor,
    action,
    targetType: 'organization',
    target: id,
    organizationId: id,
    ...states,
  });
}
