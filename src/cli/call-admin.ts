import type { z } from 'zod';
import type { Core } from '../core.ts';
import { NotFound } from '../errors.ts';
import { commandActor } from './stores.ts';
import { CommandEnd } from './terminal.ts';

export type Json = Record<string, unknown>;
export type Page<Item> = { data: Item[]; next_cursor: string | null };

/**
 * Calls a route of the admin API inside this process: the same checks, the same use case, the same JSON, and whoever runs the
 * command as operator. Members that are undefined count as not given.
 * @param route as in `PATCH /clients/{client_id}`.
 */
export async function callAdmin<Body = Json>(
  core: Core,
  route: `${'GET' | 'POST' | 'PATCH' | 'DELETE'} /${string}`,
  request: { params?: Json; query?: Json; body?: Json },
): Promise<Body> {
  const { adminEndpoints } = await import('../admin/endpoints.ts');
  const [method = '', path] = route.split(' ');
  const endpoint = adminEndpoints(core).find((one) => one.method === method.toLowerCase() && one.path === path);
  if (!endpoint) throw new Error(`no such route: ${route}`);
  core.log.debug({ route }, 'calls the admin API');
  const params = endpoint.params?.safeParse(request.params ?? {});
  if (params && !params.success)
    throw new NotFound(path?.split('/')[1]?.replace(/s$/, '').replace('-', ' ') ?? 'thing');
  const answer = await endpoint.handle({
    operator: commandActor(),
    params: params?.data,
    query: endpoint.query && check(endpoint.query, request.query ?? {}),
    body: endpoint.body && check(endpoint.body, request.body ?? {}),
    expectedRevision: undefined,
    idempotent: undefined,
  });
  return (answer.body ?? {}) as Body;
}

/** @throws {CommandEnd} that names every option with a value that is not taken. */
function check(schema: z.ZodObject, value: Json): unknown {
  const given = Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined));
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  const problems = result.error.issues.map(({ path, message }) => `error: ${optionOf(path)}: ${message}`);
  throw new CommandEnd(2, problems.join('\n'));
}

/** Options that are not called as the field is. */
const renamed: Readonly<Record<string, string>> = {
  permissions: 'permission',
  clients: 'client',
  'contact-id': 'contact',
};

function optionOf([field]: readonly PropertyKey[]): string {
  const name = String(field).replaceAll('_', '-');
  return `--${renamed[name] ?? name}`;
}
