import { randomUUID } from 'node:crypto';
import { appendAuditEvent, createRehearsal, nameInEvents } from '../../audit/audit-log.ts';
import { permissions } from '../../contacts/contact.ts';
import type { Core } from '../../core.ts';
import { Conflict, Forbidden, InvalidInput, KeyturnError } from '../../errors.ts';
import type { Database, Row, Transaction } from '../../storage/database.ts';
import { issueText } from '../../text/issue-text.ts';
import { callEndpoint, checkInsideRequest, findEndpoint } from '../call-endpoint.ts';
import { describeIssues } from '../check-request.ts';
import type { Endpoint } from '../endpoint.ts';
import type { Operator } from '../operator-auth.ts';
import { carryOut, kindOrder } from './carry-out.ts';
import { type Change, fingerprintOf, type NewSecret } from './configuration-change.ts';
import type { Call, Kind, Members, World } from './configuration-kind.ts';
import { configurationKinds } from './configuration-kinds.ts';
import type { Target } from './configuration-work.ts';
import { createWorld } from './configuration-world.ts';

/** Plans and applies a configuration: all of it in one transaction, by the endpoints of the admin API. */

export type ListEndpoints = (core: Core) => Endpoint[];

export type GivenConfiguration = {
  documents: readonly Members[];
  prune: boolean;
  /** IDs of changes that may cut something in use, or `all`. */
  accept: readonly string[];
  /** The fingerprint of the plan to apply. Undefined applies all changes without a comparison. */
  fingerprint: string | undefined;
};

export type Plan = { changes: Change[]; fingerprint: string };

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
    const { world, takeLack } = openWorld(core, listEndpoints, operator, transaction, kinds, true);
    const { changes } = await carryOut({ world, isPlan: true, takeLack }, targets, prune);
    return { changes, fingerprint: fingerprintOf(changes) };
  });
}

/**
 * Makes the server have what the documents say. Either all changes are committed or none.
 * @param id names the apply in the audit log.
 * @throws {KeyturnError} 428 `acceptance_required` with the plan, or 409 `configuration_changed`.
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
  const { world, takeLack } = openWorld(core, listEndpoints, operator, transaction, kinds, false);
  const { changes, secrets } = await carryOut({ world, isPlan: false, takeLack }, targets, given.prune);
  const plan = { changes, fingerprint: fingerprintOf(changes) };
  if (given.fingerprint !== undefined && given.fingerprint !== plan.fingerprint) {
    throw new Conflict('configuration_changed', 'Something has changed since the plan. Make a new plan.');
  }
  const refused = changes.filter((change) => change.needs_acceptance && !isAccepted(given.accept, change));
  if (refused.length > 0) {
    const message = `${refused.length === 1 ? 'A change deletes or cuts' : `${refused.length} changes delete or cut`} something in use. Check the plan, and accept: ${refused.map(({ id }) => id).join(', ')}.`;
    throw new KeyturnError('acceptance_required', 428, message, { extension: { review: plan } });
  }
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
    after: { changes: changes.map(({ kind, name, organization, action }) => ({ kind, name, organization, action })) },
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
): { world: World; takeLack(): string | null } {
  const endpoints = listEndpoints(insideTransaction(core, transaction));
  let lack: string | null = null;
  const callAs = async <Body>(caller: Operator, ...[route, request = {}, revision]: Parameters<Call>) => {
    const endpoint = findEndpoint(endpoints, route, caller);
    const checked = checkInsideRequest(endpoint, request);
    return await callEndpoint<Body>(endpoint, caller, checked, { revision });
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
  const takeLack = () => {
    const taken = lack;
    lack = null;
    return taken;
  };
  return { world: createWorld(call, kinds, { database: transaction, operator, now: core.clock() }), takeLack };
}

/** Returns a core whose endpoints work in this transaction only. */
function insideTransaction(core: Core, transaction: Transaction): Core {
  const change: Core['change'] = (work) => work(transaction);
  let last: Promise<unknown> = Promise.resolve();
  // Some endpoints read several things at once. A connection takes one query at a time.
  const query: Database['query'] = <R extends Row>(sql: string, parameters?: readonly unknown[]) => {
    const next = last.then(() => transaction.query<R>(sql, parameters));
    last = next.catch(() => undefined);
    return next;
  };
  const database: Database = { ...core.database, query, run: transaction.run, transaction: change };
  const flush = async () => undefined;
  return {
    ...core,
    database,
    unlimitedDatabase: database,
    change,
    usage: { ...core.usage, flush },
    grantedScopes: { ...core.grantedScopes, flush },
  };
}
