import type { InsideRequest, Route } from '../admin/call-endpoint.ts';
import type { Core } from '../core.ts';
import { KeyturnError } from '../errors.ts';
import { callRemote } from './remote-server.ts';
import { type Admin, commandActor } from './stores.ts';
import { CommandEnd } from './terminal.ts';

export type Json = Record<string, unknown>;
export type Page<Item> = { data: Item[]; next_cursor: string | null };

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
  return 'token' in admin
    ? await namingOptions(async () => {
        const body = ((await callRemote(admin, route, request)) ?? {}) as Body;
        showCommitted(beforeCommit, body);
        return body;
      })
    : await callInside(admin, route, request, beforeCommit);
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
  const checked = await namingOptions(() => checkInsideRequest(endpoint, request));
  const { body } = await callEndpoint<Body | null>(endpoint, operator, checked);
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

/** Reports the fields of a rejected request as options. @throws {CommandEnd} 2 */
async function namingOptions<Done>(work: () => Done | Promise<Done>): Promise<Done> {
  try {
    return await work();
  } catch (error) {
    const issues = error instanceof KeyturnError && error.status === 400 ? error.extension?.['issues'] : undefined;
    if (!Array.isArray(issues)) throw error;
    const problems = (issues as { path: string; message: string }[]).map(
      ({ path, message }) => `error: ${optionOf(path)}: ${message}`,
    );
    throw new CommandEnd(2, problems.join('\n'));
  }
}

/** Options whose names differ from their fields. */
const renamed: Readonly<Record<string, string>> = {
  permissions: 'permission',
  clients: 'client',
  'contact-id': 'contact',
  'owner-contact-id': 'owner',
  'organization-id': 'organization',
  contacts: 'technical-contact',
  labels: 'label',
  claims: 'claim',
  dialects: 'dialect',
  metadata: 'metadata-file',
  scopes: 'scopes-file',
};

function optionOf(path: string): string {
  const [field = ''] = path.split('.');
  const name = field.replaceAll('_', '-');
  return `--${renamed[name] ?? name}`;
}
