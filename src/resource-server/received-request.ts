/** Anything that has the headers of a request: a fetch `Request`, or one of Node's. The rest is for tokens that are bound to a key. */
export type RequestLike = {
  headers: Headers | Readonly<Record<string, string | readonly string[] | undefined>>;
  method?: string | undefined;
  /** As it came: a path, or the whole URL. */
  url?: string | undefined;
  /** The same before a router took its part off it, as Express and Fastify have it. */
  originalUrl?: string | undefined;
  /** The connection, which knows the client certificate where TLS ends here. */
  socket?: unknown;
};

/** A request, whatever it was made by. */
export type ReceivedRequest = {
  method: string | undefined;
  /** Without query, as it came; undefined where it is not known. */
  path: string | undefined;
  socket: unknown;
  /** The value of a header; several of one name are joined by commas. */
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
