import { randomUUID } from 'node:crypto';
import type { GuardedRequest } from '../../approvals/approval.ts';
import { appendAuditEvent, createRehearsal, nameInEvents } from '../../audit/audit-log.ts';
import { permissions } from '../../contacts/contact.ts';
import type { Core } from '../../core.ts';
import { Conflict, Forbidden, InvalidInput, KeyturnError } from '../../errors.ts';
import type { Database, Row, Transaction } from '../../storage/database.ts';
import { queryUnlimited } from '../../storage/organization-limit.ts';
import { issueText } from '../../text/issue-text.ts';
import { callEndpoint, checkInsideRequest, findEndpoint } from '../call-endpoint.ts';
import { describeIssues } from '../check-request.ts';
import type { Endpoint } from '../endpoint.ts';
import type { Operator } from '../operator-auth.ts';
import { anyApproval } from '../with-approval.ts';
import { carryOut, kindOrder } from './carry-out.ts';
import { type Change, fingerprintOf, type NewSecret } from './configuration-change.ts';
import type { Call, Kind, Members, World } from './configuration-kind.ts';
import { configurationKinds } from './configuration-kinds.ts';
import type { Target, Work } from './configuration-work.ts';
import { createWorld } from './configuration-world.ts';

/** Plans and applies a configuration: all of it in one transaction, by the endpoints of the admin API. */

/** @param needed receives the acts that need approval and have none. They are carried out nevertheless. */
export type ListEndpoints = (core: Core, needed: GuardedRequest[]) => Endpoint[];

export type GivenConfiguration = {
  documents: readonly Members[];
  prune: boolean;
  /** IDs of changes that may cut something in use, or `all`. */
  accept: readonly string[];
  /** The fingerprint of the plan to apply. Undefined applies all changes without a comparison. */
  fingerprint: string | undefined;
};

export type Plan = { changes: Change[]; fingerprint: string };

/** Rolls back an apply of which something needs approval. Requests for it are made in a transaction of their own. */
export class ApprovalsNeeded extends Error {
  readonly needed: readonly GuardedRequest[];
  readonly plan: Plan;

  constructor(needed: readonly GuardedRequest[], plan: Plan) {
    super('a second person has to approve the configuration');
    this.needed = needed;
    this.plan = plan;
  }
}

/** Returns what `applyConfiguration` would do, by doing it and rolling it back. */
export async function planConfiguration(
  core: Core,
  listEndpoints: ListEndpoints,
  operator: Operator,
  { documents, prune }: Pick<GivenConfiguration, 'documents' | 'prune'>,
): Promise<Plan> {
  const kinds = configurationKinds(core.config.issuer);
  const targets = readDocuments(kinds, documents);
  await flushUsage(core);
  return await createRehearsal(core)(async (transaction) => {
    const { world, takeLacks } = openWorld(core, listEndpoints, operator, transaction, kinds, true);
    const { changes } = await carryOut({ world, isPlan: true, takeLacks }, targets, prune);
    return { changes, fingerprint: fingerprintOf(changes) };
  });
}

/**
 * Makes the server have what the documents say. Either all changes are committed or none.
 * @param id names the apply in the audit log.
 * @throws {KeyturnError} 428 `acceptance_required` with the plan, or 409 `configuration_changed`.
 * @throws {ApprovalsNeeded} if a second person has to approve something and has not.
 */
export async function applyConfiguration(
  transaction: Transaction,
  core: Core,
  listEndpoints: ListEndpoints,
  operator: Operator,
  given: GivenConfiguration,
): Promise<Plan & { id: string; secrets: NewSecret[] }> {
  const kinds = configurationKinds(core.config.issuer);
  const targets = readDocuments(kinds, given.documents);
  // Two configurations at once would each be planned without the other.
  await transaction.query("SELECT pg_advisory_xact_lock(hashtextextended('configuration', 0))");
  const { world, takeLacks, needed } = openWorld(core, listEndpoints, operator, transaction, kinds, false);
  const { changes, secrets } = await carryOut({ world, isPlan: false, takeLacks }, targets, given.prune);
  const plan = { changes, fingerprint: fingerprintOf(changes) };
  if (given.fingerprint !== undefined && given.fingerprint !== plan.fingerprint) {
    throw new Conflict('configuration_changed', 'Something has changed since the plan. Make a new plan.');
  }
  const refused = changes.filter((change) => change.needs_acceptance && !isAccepted(given.accept, change));
  if (refused.length > 0) {
    const message = `${refused.length === 1 ? 'A change deletes or cuts' : `${refused.length} changes delete or cut`} something in use. Check the plan, and accept: ${refused.map(({ id }) => id).join(', ')}.`;
    throw new KeyturnError('acceptance_required', 428, message, { extension: { review: plan } });
  }
  if (needed.length > 0) throw new ApprovalsNeeded(needed, plan);
  const id = randomUUID();
  if (changes.length > 0) await auditApply(transaction, core, operator, id, changes);
  return { ...plan, id, secrets };
}

function isAccepted(accept: readonly string[], { id }: Change): boolean {
  return accept.includes('all') || accept.includes(id);
}

/** Writes the counts that decide on what is in use. Inside of the transaction, another one would wait for it. */
export async function flushUsage(core: Core): Promise<void> {
  await core.usage.flush();
  await core.grantedScopes.flush();
}

async function auditApply(
  transaction: Transaction,
  core: Core,
  operator: Operator,
  id: string,
  changes: readonly Change[],
): Promise<void> {
  nameInEvents(transaction, { configuration: id });
  const { organizationId } = operator;
  await appendAuditEvent(transaction, {
    at: new Date(core.clock()),
    actor: operator,
    action: 'configuration.apply',
    targetType: 'configuration',
    target: id,
    ...(organizationId === null ? {} : { organizationId }),
    after: {
      changes: changes.map(({ kind, name, organization, action }) => ({
        kind,
        // The event of each contact has its name, which can be erased there.
        ...(kind === 'contact' ? {} : { name }),
        organization,
        action,
      })),
    },
  });
}

/** Validates documents. @throws {InvalidInput} with up to 20 issues, whose paths begin with the position of a document. */
function readDocuments(kinds: readonly Kind[], documents: readonly Members[]): Target[] {
  const issues: { path: string; message: string }[] = [];
  const targets = documents.flatMap((document, index) => {
    const kind = kinds.find(({ name }) => name === document['kind']);
    if (!kind) {
      issues.push({ path: `documents.${index}.kind`, message: `must be one of ${kindOrder.join(', ')}` });
      return [];
    }
    const read = kind.schema.safeParse(document, { error: issueText });
    if (!read.success)
      issues.push(...read.error.issues.flatMap((issue) => describeIssues(issue, ['documents', index])));
    return [{ index, kind, document }];
  });
  if (issues.length === 0) return targets;
  const shown = issues.slice(0, 20);
  throw new InvalidInput(shown.map(({ path, message }) => `${path}: ${message}`).join('; '), shown);
}

/**
 * Returns what an operator sees and may change in a transaction.
 * @param isPlan whether changes that the operator may not make are rehearsed too, so that a plan needs fewer permissions.
 */
export function openWorld(
  core: Core,
  listEndpoints: ListEndpoints,
  operator: Operator,
  transaction: Transaction,
  kinds: readonly Kind[],
  isPlan: boolean,
): { world: World; needed: readonly GuardedRequest[] } & Pick<Work, 'takeLacks'> {
  const needed: GuardedRequest[] = [];
  const endpoints = listEndpoints(insideTransaction(core, transaction), needed);
  let known = 0;
  let lack: string | null = null;
  const callAs = async <Body>(caller: Operator, ...[route, request = {}, revision]: Parameters<Call>) => {
    const endpoint = findEndpoint(endpoints, route, caller);
    const checked = checkInsideRequest(endpoint, request);
    return await callEndpoint<Body>(endpoint, caller, checked, { revision, approval: anyApproval });
  };
  const call: Call = async <Body = Members>(...request: Parameters<Call>) => {
    try {
      return await callAs<Body>(operator, ...request);
    } catch (error) {
      if (!isPlan || !(error instanceof Forbidden) || request[0].startsWith('GET ')) throw error;
      const answer = await callAs<Body>({ ...operator, permissions }, ...request);
      lack = error.message;
      return answer;
    }
  };
  const takeLacks = () => {
    const taken = { lacks: lack, needs_approval: needed.length > known };
    lack = null;
    known = needed.length;
    return taken;
  };
  const world = createWorld(call, kinds, { database: transaction, operator, now: core.clock() });
  return { world, takeLacks, needed };
}

/** Returns a core whose endpoints work in this transaction only. */
function insideTransaction(core: Core, transaction: Transaction): Core {
  const change: Core['change'] = (work) => work(transaction);
  let last: Promise<unknown> = Promise.resolve();
  // Some endpoints read several things at once. A connection takes one query at a time.
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const next = last.then(work);
    last = next.catch(() => undefined);
    return next;
  };
  const query: Database['query'] = <R extends Row>(sql: string, parameters?: readonly unknown[]) =>
    inTurn(() => transaction.query<R>(sql, parameters));
  const unlimited: Database['query'] = <R extends Row>(sql: string, parameters?: readonly unknown[]) =>
    inTurn(() => queryUnlimited<R>(transaction, sql, parameters));
  const database: Database = { ...core.database, query, run: transaction.run, transaction: change };
  const flush = async () => undefined;
  return {
    ...core,
    database,
    unlimitedDatabase: { ...database, query: unlimited },
    change,
    usage: { ...core.usage, flush },
    grantedScopes: { ...core.grantedScopes, flush },
  };
}
