import type { ApprovalSettings, GuardedRequest } from '../approvals/approval.ts';
import { countApprovers, findSettingsFor } from '../approvals/approval-settings.ts';
import { findSameRequest } from '../approvals/approval-store.ts';
import { type FoundSubject, findSubject } from '../approvals/approval-subject.ts';
import { digestOf, recordBypass, requestApproval, useApproval } from '../approvals/manage-approvals.ts';
import { withSpending } from '../approvals/spending.ts';
import type { Grantor } from '../contacts/grantor.ts';
import type { Core } from '../core.ts';
import { Conflict } from '../errors.ts';
import { deploymentOrganization } from '../storage/organization-limit.ts';
import type { AdminRequest, Endpoint } from './endpoint.ts';

const hourMs = 3_600_000;

/** Stands for the approved request of this operator for the same act, which the console finds by itself. */
export const anyApproval = 'any';

/**
 * Returns an endpoint that asks for the approval of a second person first, if the settings require it.
 * @param needed as that of `guard`.
 */
export function withApproval(core: Core, endpoint: Endpoint, needed?: GuardedRequest[]): Endpoint {
  const { approval: declared, permission } = endpoint;
  if (!declared || permission === null) return endpoint;
  return {
    ...endpoint,
    async handle(request) {
      const guarded: GuardedRequest = {
        act: declared.act,
        route: `${endpoint.method.toUpperCase()} ${endpoint.path}`,
        subject: { type: declared.of, id: subjectOf(request) },
        permission,
        params: request.params,
        body: request.body,
      };
      return await guard(core, request.operator, guarded, request.approval, () => endpoint.handle(request), needed);
    },
  };
}

/**
 * Runs an act, after the approval of a second person if the settings require it.
 * @param approval the id of the approved request, or `anyApproval`.
 * @param needed receives what needs approval and has none, which is then carried out. The caller must roll it back.
 * @throws {Conflict} `approval_required` with the request that was made, or `approval_not_usable`.
 */
export async function guard<T>(
  core: Core,
  operator: Grantor,
  guarded: GuardedRequest,
  approval: string | undefined,
  act: () => Promise<T>,
  needed?: GuardedRequest[],
): Promise<T> {
  const subject = await findSubject(core.database, guarded.subject, core.clock());
  // The act itself says that its subject does not exist.
  if (!subject) return await act();
  const settings = await findSettingsFor(core.unlimitedDatabase, subject.organizationId);
  if (!needsApproval(settings, guarded, subject, core.clock())) return await act();
  if (mayBypass(operator, guarded)) {
    return await withSpending((transaction) => recordBypass(transaction, core, operator, guarded), act);
  }
  const id = approval === anyApproval ? await findApproved(core, operator, guarded) : approval;
  if (id === undefined && needed) {
    needed.push(guarded);
    return await act();
  }
  if (id === undefined) throw await ask(core, operator, guarded, subject);
  return await withSpending((transaction) => useApproval(transaction, core, operator, guarded, id), act);
}

function needsApproval(
  { acts, revealHours }: ApprovalSettings,
  { act }: GuardedRequest,
  { generatedAt }: FoundSubject,
  now: number,
): boolean {
  if (act !== 'reveal') return acts.includes(act);
  return revealHours !== null && (generatedAt?.getTime() ?? 0) + revealHours * hourMs <= now;
}

/**
 * Returns whether an operator may act without approval, which is an alarm: an operator token for emergencies, and the
 * command line on the stores for the settings themselves, so that a deployment whose people have left is not locked out.
 */
function mayBypass({ id, breakGlass }: Grantor, { act }: GuardedRequest): boolean {
  return breakGlass === true || (act === 'policies' && id.startsWith('cli:'));
}

async function findApproved(core: Core, operator: Grantor, guarded: GuardedRequest): Promise<string | undefined> {
  const same = await findSameRequest(core.database, operator.id, digestOf(guarded), new Date(core.clock()));
  return same?.state === 'approved' ? same.id : undefined;
}

/**
 * Requests approval of all acts of a configuration, whose apply was rolled back.
 * @returns an error that names the requests.
 */
export async function askForAll(core: Core, operator: Grantor, acts: readonly GuardedRequest[], review: unknown) {
  const found = await Promise.all(acts.map((act) => findSubject(core.database, act.subject, core.clock())));
  const subjects = found.filter((subject) => subject !== undefined);
  if (subjects.length < acts.length) {
    const message =
      'A second person has to approve policies of an organization that is new. Create it first, without them.';
    return new Conflict('approval_required', message, { approvals: [], review });
  }
  const approvals: unknown[] = [];
  for (const [index, act] of acts.entries()) {
    const subject = subjects[index] as FoundSubject;
    const { extension } = await ask(core, operator, act, subject);
    approvals.push({ ...(extension?.['approval'] as object), act: act.act, request: act.route, name: subject.name });
  }
  const message = `A second person has to approve ${acts.length === 1 ? 'a change' : `${acts.length} changes`} of the configuration. Apply it again once everything is approved.`;
  return new Conflict('approval_required', message, { approvals, review });
}

async function ask(core: Core, operator: Grantor, guarded: GuardedRequest, subject: FoundSubject): Promise<Conflict> {
  const { id, state, endsAt } = await core.change((transaction) =>
    requestApproval(transaction, core, operator, guarded, subject),
  );
  const approvers = await countApprovers(
    core.unlimitedDatabase,
    {
      organizationId: operator.organizationId ?? deploymentOrganization,
      permission: guarded.permission,
      but: operator.id,
    },
    new Date(core.clock()),
  );
  const message =
    state === 'approved'
      ? `This was approved with the request ${id}. Repeat it with this approval.`
      : approvers === 0
        ? `A second person has to approve this, but nobody else has the permission for it. The request is ${id}.`
        : `A second person has to approve this. The request is ${id}. Repeat the act with this approval once it is approved.`;
  return new Conflict('approval_required', message, { approval: { id, state, expires_at: endsAt.toISOString() } });
}

/** Returns the id of what a request is about: that in its path, a contact in its body, or the organization whose settings it changes. */
function subjectOf({ params, body, operator }: AdminRequest<unknown, unknown, unknown>): string {
  const ids = params as { client_id?: string; id?: string };
  const { contact_id: contact, organization_id: organization } = body as {
    contact_id?: string;
    organization_id?: string;
  };
  return ids.client_id ?? ids.id ?? contact ?? organization ?? operator.organizationId ?? deploymentOrganization;
}
