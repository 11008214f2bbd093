import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import type { InsideRequest, Route } from '../admin/call-endpoint.ts';
import { commandVariables, emptyCommandVariables } from '../config.ts';
import { KeyturnError } from '../errors.ts';
import { CommandEnd } from './terminal.ts';

/** A running server whose admin API commands call over HTTP, with an operator token. */

export type RemoteServer = { url: string; token: string };

export type RemoteOptions = { url?: string; token?: string; profile?: string };

let given: RemoteOptions = {};

/** Sets the options of the command line, before a command runs. */
export function setRemoteOptions({ url, token, profile }: RemoteOptions): void {
  given = {
    ...(url === undefined ? {} : { url }),
    ...(token === undefined ? {} : { token }),
    ...(profile === undefined ? {} : { profile }),
  };
}

/**
 * Returns whether the command line or the environment names a running server.
 * @throws {CommandEnd} 2 if a variable for it is set but empty, because a command that then works on the stores of its
 * own machine would change another deployment.
 */
export function isRemote(): boolean {
  const problems = emptyCommandVariables();
  if (problems.length > 0) throw usage(problems.join('\nerror: '));
  return urlOf() !== undefined || profileOf() !== undefined;
}

/**
 * Returns the server that the command line or the environment names, or undefined if a command works on the stores.
 * @throws {CommandEnd} 2 if there is no token for it, if the token is that of a profile for another server, or if it is
 * not reached over TLS.
 */
export function readRemoteServer(): RemoteServer | undefined {
  if (!isRemote()) return undefined;
  const name = profileOf();
  const profile = name === undefined ? undefined : readProfile(name);
  const url = urlOf() ?? profile?.url ?? '';
  const token = given.token ?? commandVariables().KEYTURN_OPERATOR_TOKEN ?? profile?.token;
  if (profile && token === profile.token && requireSafeUrl(url) !== requireSafeUrl(profile.url)) {
    throw usage(`The profile "${name}" is for ${profile.url}, so its operator token is not sent to ${url}.`);
  }
  if (!token) {
    throw usage(`There is no operator token for ${url}. Set KEYTURN_OPERATOR_TOKEN, or run \`keyturn login\` once.`);
  }
  return { url: requireSafeUrl(url), token: token.trim() };
}

function urlOf(): string | undefined {
  return given.url ?? commandVariables().KEYTURN_URL;
}

function profileOf(): string | undefined {
  return given.profile ?? commandVariables().KEYTURN_PROFILE;
}

/**
 * Returns a URL without a path at its end. Tokens and secrets must not be sent unencrypted over a network.
 * @param option the option that has the URL.
 */
export function requireSafeUrl(text: string, option: '--url' | '--issuer' = '--url'): string {
  const url = URL.parse(text);
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.search || url.hash) {
    const listener = option === '--url' ? 'an admin listener, such as https://admin.example.com' : 'the issuer';
    throw usage(`${option}: It must be the URL of ${listener}.`);
  }
  const isLocal = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname);
  if (url.protocol === 'http:' && !isLocal) {
    const sent = option === '--url' ? 'operator token' : 'client secret';
    throw usage(`${option}: ${url.origin} is not https, so the ${sent} would be sent unencrypted.`);
  }
  return url.href.replace(/\/+$/, '').replace(/\/admin\/v1$/, '');
}

type Profiles = Record<string, RemoteServer>;

/** Returns the file with the profiles, which contains operator tokens. */
export function profilesFile(): string {
  return join(commandVariables().XDG_CONFIG_HOME ?? join(homedir(), '.config'), 'keyturn', 'profiles.json');
}

/** @throws {CommandEnd} 2 if the file can be read by other users of the machine. */
export function readProfiles(): Profiles {
  const file = profilesFile();
  if (!existsSync(file)) return {};
  if (process.platform !== 'win32' && (statSync(file).mode & 0o077) !== 0) {
    throw usage(`${file} contains operator tokens, but other users can read it. Run \`chmod 600 ${file}\`.`);
  }
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Profiles;
  } catch {
    throw usage(`${file} is not JSON. Correct it, or remove it and run \`keyturn login\` again.`);
  }
}

export function writeProfiles(profiles: Profiles): void {
  const file = profilesFile();
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  writeFileSync(file, `${JSON.stringify(profiles, undefined, 2)}\n`, { mode: 0o600 });
}

function readProfile(name: string): RemoteServer {
  const profiles = readProfiles();
  const profile = Object.hasOwn(profiles, name) ? profiles[name] : undefined;
  if (profile) return profile;
  throw usage(`There is no profile "${name}". Create it with \`keyturn login --url … --profile ${name}\`.`);
}

function usage(message: string): CommandEnd {
  return new CommandEnd(2, `error: ${message}`);
}

const timeoutMs = 60_000;
const attempts = 3;

/**
 * Calls a route of a server's admin API. A request that did not reach the server or got no answer is repeated with the
 * same Idempotency-Key, so that nothing is created twice.
 * @param approval the id of the approved request for this act.
 * @returns the body of the answer; undefined if it has none.
 * @throws {KeyturnError} as the server answered it. {CommandEnd} 1 if the server cannot be reached.
 */
export async function callRemote(
  server: RemoteServer,
  route: Route,
  request: InsideRequest,
  approval?: string,
): Promise<unknown> {
  const [method = '', path = ''] = route.split(' ');
  const url = new URL(`${server.url}/admin/v1${fillPath(path, request.params)}`);
  for (const [name, value] of Object.entries(request.query ?? {})) {
    if (value !== undefined) url.searchParams.set(name, String(value));
  }
  const headers: Record<string, string> = { Authorization: `Bearer ${server.token}`, Accept: 'application/json' };
  if (method === 'POST') headers['Idempotency-Key'] = randomUUID();
  if (approval !== undefined) headers['Keyturn-Approval'] = approval;
  const init: RequestInit = { method, headers, redirect: 'error' };
  if (method === 'POST' || method === 'PATCH') {
    headers['Content-Type'] = 'application/json';
    init.body = JSON.stringify(request.body ?? {});
  }
  const response = await send(server, url, init, method !== 'PATCH');
  const text = await response.text();
  const body = isJson(response) && text ? (JSON.parse(text) as Record<string, unknown>) : undefined;
  if (response.ok) return body;
  throw toError(response, body);
}

async function send(server: RemoteServer, url: URL, init: RequestInit, mayRepeat: boolean): Promise<Response> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await fetch(url, { ...init, signal: AbortSignal.timeout(timeoutMs) });
    } catch (error) {
      if (mayRepeat && attempt < attempts) continue;
      const cause = (error as Error).cause as { code?: string; message?: string } | undefined;
      const reason = cause?.code ?? cause?.message ?? (error as Error).message;
      throw new CommandEnd(1, `error: The server at ${server.url} cannot be reached: ${reason}.`);
    }
  }
}

/** Replaces the parameters of a path. @throws {KeyturnError} if one is empty, because the path would mean something else. */
function fillPath(path: string, params: InsideRequest['params'] = {}): string {
  return path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = String(params[name] ?? '');
    // A URL parser removes segments of dots.
    if (/^\.{0,2}$/.test(value)) throw new KeyturnError('not_found', 404, 'Not found.');
    return encodeURIComponent(value);
  });
}

function isJson(response: Response): boolean {
  return /\bjson\b/.test(response.headers.get('Content-Type') ?? '');
}

/** Converts a problem (RFC 9457) to the error that the same call inside this process would throw. */
function toError({ status, url }: Response, body: Record<string, unknown> | undefined): KeyturnError | CommandEnd {
  const { code, detail, title, type: _type, status: _status, instance: _instance, ...extension } = body ?? {};
  if (typeof code !== 'string') {
    return new CommandEnd(
      1,
      `error: ${new URL(url).origin} answered with status ${status}, but not as an admin API of Keyturn.`,
    );
  }
  return new KeyturnError(code, status, String(detail ?? title ?? code), { extension });
}
