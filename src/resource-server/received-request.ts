import { AccessTokenError } from './access-token.ts';

/**
 * A fetch `Request`, a Node.js request, or any object with the headers of a request. The other members are needed for
 * bound tokens.
 */
export type RequestLike = {
  headers: Headers | Readonly<Record<string, string | readonly string[] | undefined>>;
  method?: string | undefined;
  /** The path or whole URL, as received. */
  url?: string | undefined;
  /** The URL before a router removed its prefix, as Express and Fastify provide it. */
  originalUrl?: string | undefined;
  /** The connection, which has the client certificate if TLS ends at this process. */
  socket?: unknown;
};

/** A request, independent of the framework. */
export type ReceivedRequest = {
  method: string | undefined;
  /** The path without query, as received; undefined if unknown. */
  path: string | undefined;
  socket: unknown;
  /** Returns the value of a header; repeated headers are joined by commas. */
  header(name: string): string | undefined;
};

export function receiveRequest({ headers, method, url, originalUrl, socket }: RequestLike): ReceivedRequest {
  return {
    method,
    path: pathOf(originalUrl ?? url),
    socket,
    header: (name) => {
      if (headers instanceof Headers) return headers.get(name) ?? undefined;
      const value = headers[name.toLowerCase()];
      return typeof value === 'string' || value === undefined ? value : value.join(', ');
    },
  };
}

function pathOf(url: string | undefined): string | undefined {
  if (url?.startsWith('/')) return url.split(/[?#]/, 1)[0];
  return url !== undefined && URL.canParse(url) ? new URL(url).pathname : undefined;
}

/** An access token, and how the request presents it (RFC 6750 §2.1, RFC 9449 §7.1). */
export type PresentedToken = { scheme: 'Bearer' | 'DPoP'; token: string };

const schemes: ReadonlyMap<string, PresentedToken['scheme']> = new Map([
  ['bearer', 'Bearer'],
  ['dpop', 'DPoP'],
]);

/** Returns whether a token has the form of an access key. */
export function isAccessKey(token: string): boolean {
  return /^ktk_[0-9A-Za-z]{49}$/.test(token);
}

/**
 * Reads `Authorization: Bearer …`, `Authorization: DPoP …` or, without that header, `X-API-Key`.
 * @param standaloneKeys whether access keys that stand alone are accepted.
 * @throws {AccessTokenError} `missing_token`, `invalid_request` or `invalid_token`.
 */
export function readPresentedToken(
  request: ReceivedRequest,
  { standaloneKeys }: { standaloneKeys: boolean },
): PresentedToken {
  const value = request.header('authorization');
  const key = standaloneKeys && !value ? request.header('x-api-key') : undefined;
  if (key) {
    if (!isAccessKey(key)) throw new AccessTokenError('invalid_token', 'The header X-API-Key has no access key.');
    return { scheme: 'Bearer', token: key };
  }
  if (!value) throw new AccessTokenError('missing_token', 'An access token is required.');
  const end = value.indexOf(' ');
  const scheme = schemes.get(value.slice(0, end).toLowerCase());
  const token = value.slice(end).trimStart();
  if (!scheme || !/^[\w\-.~+/]+=*$/.test(token)) {
    throw new AccessTokenError(
      'invalid_request',
      'The Authorization header must contain one Bearer or DPoP access token.',
    );
  }
  return { scheme, token };
}
