import type { Command } from 'commander';
import type { InsideRequest, Route } from '../admin/call-endpoint.ts';
import type { Core } from '../core.ts';
import { KeyturnError } from '../errors.ts';
import { callRemote } from './remote-server.ts';
import { type Admin, commandActor } from './stores.ts';
import { CommandEnd } from './terminal.ts';

export type Json = Record<string, unknown>;
export type Page<Item> = { data: Item[]; next_cursor: string | null; previous_cursor?: string };

/**
 * Calls a route of the admin API, inside this process or on a running server, with the same checks and the same JSON.
 * Inside this process, the operator is the system user who runs the command. Members that are undefined count as not
 * given.
 * @param route method and path, such as `PATCH /clients/{client_id}`.
 * @param beforeCommit receives the response of a change before it is committed. If it throws, the change is rolled
 * back. A running server has already committed it.
 * @throws {CommandEnd} 2 that names every option with a wrong value.
 */
export async function callAdmin<Body = Json>(
  admin: Admin,
  route: Route,
  request: InsideRequest,
  beforeCommit?: (answer: Body) => void,
): Promise<Body> {
  return await namingOptions(() => callPlainly(admin, route, request, beforeCommit));
}

/** Calls a route as `callAdmin`, for commands whose errors do not name options. @throws {KeyturnError} as the route. */
export async function callPlainly<Body = Json>(
  admin: Admin,
  route: Route,
  request: InsideRequest,
  beforeCommit?: (answer: Body) => void,
): Promise<Body> {
  if (!('token' in admin)) return await callInside(admin, route, request, beforeCommit);
  const body = ((await callRemote(admin, route, request, approval)) ?? {}) as Body;
  showCommitted(beforeCommit, body);
  return body;
}

/** Shows the answer of a running server. */
function showCommitted<Body>(show: ((answer: Body) => void) | undefined, body: Body): void {
  try {
    show?.(body);
  } catch (error) {
    if (error instanceof CommandEnd)
      throw new CommandEnd(error.exitCode, `${error.message} The server has made the change.`);
    throw error;
  }
}

async function callInside<Body>(
  core: Core,
  route: Route,
  request: InsideRequest,
  beforeCommit: ((answer: Body) => void) | undefined,
): Promise<Body> {
  // Load the admin API here, so that `--help` and completion do not wait for it.
  const { adminEndpoints } = await import('../admin/endpoints.ts');
  const { callEndpoint, checkInsideRequest, findEndpoint } = await import('../admin/call-endpoint.ts');
  const operator = commandActor();
  const endpoints = adminEndpoints(beforeCommit ? watchChanges(core, beforeCommit) : core);
  const endpoint = findEndpoint(endpoints, route, operator);
  core.log.debug({ route }, 'calling the admin API');
  const checked = checkInsideRequest(endpoint, request);
  const { body } = await callEndpoint<Body | null>(endpoint, operator, checked, { approval });
  return body ?? ({} as Body);
}

/** Returns a core that commits a change only after `beforeCommit` has returned. */
function watchChanges<Body>(core: Core, beforeCommit: (answer: Body) => void): Core {
  const change: Core['change'] = (work) =>
    core.change(async (transaction) => {
      const answer = await work(transaction);
      try {
        beforeCommit((answer as { body: Body }).body);
      } catch (error) {
        if (error instanceof CommandEnd) throw new CommandEnd(error.exitCode, `${error.message} Nothing was changed.`);
        throw error;
      }
      return answer;
    });
  return { ...core, change };
}

/** Reports the fields of a rejected request as options. @throws {CommandEnd} 2 for malformed values, 1 for others. */
async function namingOptions<Done>(work: () => Done | Promise<Done>): Promise<Done> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof KeyturnError && error.code === 'approval_required') throw approvalNeeded(error);
    if (!(error instanceof KeyturnError) || (error.status !== 400 && error.status !== 409)) throw error;
    const issues = error.extension?.['issues'] as { path: string; message: string }[] | undefined;
    if (Array.isArray(issues)) {
      const problems = issues.map(({ path, message }) => `error: ${optionOf(path)}: ${message}`);
      throw new CommandEnd(2, problems.join('\n'));
    }
    const [, field, text] = /^([a-z_.]+): (.*)$/s.exec(error.message) ?? [];
    if (field === undefined) throw error;
    throw new CommandEnd(1, `error: ${optionOf(field)}: ${text}`);
  }
}

/** Says how to go on with an act that a second person has to approve. */
export function approvalNeeded({ message, extension }: KeyturnError): CommandEnd {
  const { id } = (extension?.['approval'] ?? { id: '' }) as { id: string };
  const lines = [
    `error: ${message}`,
    `  to say why:            keyturn approvals explain ${id} --reason '…'`,
    `  the second person:     keyturn approvals approve ${id}   (or on the page “Approvals” of the console)`,
    `  then you, once:        the same command with --approval ${id}`,
  ];
  return new CommandEnd(1, lines.join('\n'));
}

let approval: string | undefined;

/** Sets the approved request that the running command carries out. */
export function setApproval(id: unknown): void {
  approval = typeof id === 'string' ? id : undefined;
}

/** Returns the approved request that the running command carries out. */
export function givenApproval(): string | undefined {
  return approval;
}

/** Options whose names differ from their fields. */
const renamed: Readonly<Record<string, readonly string[]>> = {
  permissions: ['permission'],
  scope: ['permission'],
  clients: ['client'],
  'client-id': ['client'],
  'contact-id': ['contact'],
  'owner-contact-id': ['owner'],
  contacts: ['technical-contact'],
  'organization-id': ['organization'],
  labels: ['label'],
  claims: ['claim'],
  dialects: ['dialect'],
  metadata: ['metadata-file'],
  scopes: ['scopes-file'],
  jwks: ['certificate'],
  'overlap-seconds': ['overlap'],
  'retires-at': ['until'],
  'expires-in': ['expires'],
  url: ['to'],
  kinds: ['kind'],
  'grace-period-from': ['from'],
};

let options: readonly { name: string; isTyped: boolean }[] = [];

/** Sets the options of the running command, which errors name instead of fields. */
export function setOptions(command: Command): void {
  options = command.options.map((option) => ({
    name: option.name(),
    isTyped: command.getOptionValueSource(option.attributeName()) === 'cli',
  }));
}

/** Returns the option that sets a field, preferably one that was typed, or the field if the command has none. */
function optionOf(path: string): string {
  const [field = ''] = path.replace(/^replace\./, '').split('.');
  const name = field.replaceAll('_', '-');
  const named = options.filter((option) => option.name === name || renamed[name]?.includes(option.name));
  const option = named.find(({ isTyped }) => isTyped) ?? named[0];
  return option ? `--${option.name}` : path;
}
