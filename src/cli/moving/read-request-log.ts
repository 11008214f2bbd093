import { z } from 'zod';
import type { LoggedRequest } from '../../explain/rehearse-request.ts';

/** Reads logs of token requests: JSON lines, and the combined log format of nginx and Apache. */

/**
 * A line of a log. A request that the other server rejected is `skipped`, like requests of other endpoints.
 */
export type LogLine =
  | { request: LoggedRequest }
  | { skipped: 'other endpoint' | 'rejected before' }
  | { problem: string };

const text = z.string().max(4_096);
const list = z.union([z.array(text), text]);
const flag = z.union([z.boolean(), text.transform((value) => value !== '' && value !== '-' && value !== 'false')]);

const logged = z.object({
  client_id: text.min(1),
  grant_type: text.optional(),
  scope: list.optional(),
  resource: list.optional(),
  audience: list.optional(),
  auth_method: text.optional(),
  path: text.optional(),
  content_type: text.optional(),
  dpop: flag.optional(),
  certificate: flag.optional(),
  access_key: flag.optional(),
  status: z.coerce.number().optional(),
  granted_scope: list.optional(),
});

/** Members that a log must not have. Their values are not read. */
const secretMembers = ['client_secret', 'client_assertion', 'access_token', 'authorization'];

/** Reads one line of a log, which is not empty. Messages never contain a value of the line. */
export function readLogLine(line: string): LogLine {
  return line.startsWith('{') ? readJsonLine(line) : readCombinedLine(line);
}

function readJsonLine(line: string): LogLine {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    return { problem: 'The line is not JSON.' };
  }
  if (Object.hasOwn(json as object, 'http_request')) return readHydraLine(json);
  const found = secretMembers.find((name) => Object.hasOwn(json as object, name));
  if (found)
    return { problem: `${found}: must not be in a log. Remove it, and rotate the secret if the log was stored.` };
  // Log pipelines write null or an empty text for what a request did not have.
  const members = Object.entries(json as object).filter(([, value]) => value !== null && value !== '');
  const read = logged.safeParse(Object.fromEntries(members));
  if (!read.success) {
    const [issue] = read.error.issues;
    return { problem: `${String(issue?.path[0] ?? 'line')}: ${issue?.message ?? 'is not valid'}.` };
  }
  const { data } = read;
  if (data.path !== undefined && !isTokenPath(data.path)) return { skipped: 'other endpoint' };
  if (data.status !== undefined && data.status >= 400) return { skipped: 'rejected before' };
  return {
    request: {
      clientId: data.client_id,
      grantType: data.grant_type ?? 'client_credentials',
      scope: joined(data.scope),
      resources: listOf(data.resource),
      audiences: listOf(data.audience),
      authMethod: data.auth_method,
      path: data.path?.replace(/\?.*/, ''),
      contentType: data.content_type,
      dpop: data.dpop ?? false,
      certificate: data.certificate ?? false,
      accessKey: data.access_key ?? false,
      grantedScope: joined(data.granted_scope),
    },
  };
}

const hydraLine = z.object({
  http_request: z.object({ method: text, path: text }),
  http_response: z.object({ status: z.number() }).optional(),
});

/** Reads a line of Hydra's own log, which has two lines for each request and does not name its client. */
function readHydraLine(json: unknown): LogLine {
  const read = hydraLine.safeParse(json);
  if (!read.success) return { problem: 'http_request: the line has another form than those of Hydra.' };
  const { http_request: request, http_response: response } = read.data;
  if (!response || request.method !== 'POST' || !isTokenPath(request.path)) return { skipped: 'other endpoint' };
  if (response.status >= 400) return { skipped: 'rejected before' };
  return { problem: 'The log of Hydra does not name the client. Log the token requests in a proxy in front of it.' };
}

/** The combined log format. The user of HTTP Basic is the Client ID. */
const combined = /^\S+ \S+ (?<user>\S+) \[[^\]]*\] "(?<method>\S+) (?<target>\S+)[^"]*" (?<status>\d{3}) /;

function readCombinedLine(line: string): LogLine {
  const { user = '', method, target = '', status } = combined.exec(line)?.groups ?? {};
  if (method === undefined) return { problem: 'The line is neither JSON nor in the combined log format.' };
  if (method !== 'POST' || !isTokenPath(target)) return { skipped: 'other endpoint' };
  if (Number(status) >= 400) return { skipped: 'rejected before' };
  if (user === '-') return { problem: 'The line does not name the client: it did not use HTTP Basic.' };
  return {
    request: {
      clientId: user,
      grantType: 'client_credentials',
      scope: undefined,
      resources: [],
      audiences: [],
      authMethod: 'client_secret_basic',
      path: target.replace(/\?.*/, ''),
      contentType: undefined,
      dpop: false,
      certificate: false,
      accessKey: false,
      grantedScope: undefined,
    },
  };
}

/** Returns whether a path is that of a token endpoint, which has the same last part in all servers. */
function isTokenPath(target: string): boolean {
  return /\/token\/?(\?.*)?$/.test(target);
}

function listOf(value: string | string[] | undefined): string[] {
  return typeof value === 'string' ? [value] : (value ?? []);
}

function joined(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(' ') : value;
}
