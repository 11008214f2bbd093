import type { AccessToken } from './access-token.ts';
import { toAccessToken } from './access-token.ts';

export type IntrospectionOptions = {
  issuer: string;
  clientId: string;
  clientSecret: string;
  /** Time limit of an introspection in milliseconds. */
  timeoutMs: number;
  fetch: typeof globalThis.fetch;
};

/** The error if the server cannot be reached or gives an invalid answer, so that the token's state is unknown. */
export class IntrospectionUnavailable extends Error {}

/**
 * Introspects a token at the authorization server (RFC 7662).
 * @param request the access key that came with the token, and the scopes that were used.
 * @returns undefined if the token is not active here.
 * @throws {IntrospectionUnavailable}
 */
export async function introspect(
  options: IntrospectionOptions,
  token: string,
  { accessKey, usedScope = [] }: { accessKey: string | undefined; usedScope?: readonly string[] },
): Promise<AccessToken | undefined> {
  const body = new URLSearchParams({ token });
  if (accessKey !== undefined) body.set('access_key', accessKey);
  if (usedScope.length > 0) body.set('used_scope', usedScope.join(' '));
  const credentials = `${encodeURIComponent(options.clientId)}:${encodeURIComponent(options.clientSecret)}`;
  try {
    const response = await options.fetch(`${options.issuer}/oauth2/introspect`, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(credentials).toString('base64')}`, accept: 'application/json' },
      body,
      redirect: 'error',
      signal: AbortSignal.timeout(options.timeoutMs),
    });
    if (!response.ok) throw new Error(`introspection answered ${response.status}`);
    const claims = (await response.json()) as Record<string, unknown>;
    if (claims['active'] === false) return undefined;
    if (claims['active'] !== true) throw new Error('introspection did not answer with `active`');
    return toAccessToken(claims);
  } catch (error) {
    throw new IntrospectionUnavailable((error as Error).message, { cause: error });
  }
}
