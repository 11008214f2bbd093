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
