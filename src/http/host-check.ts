/**
 * Returns a function that checks whether a Host header is one of these hosts. A name without a port matches any port.
 */
export function createHostCheck(names: readonly string[]): (host: string) => boolean {
  const hosts = new Set(names.map((name) => name.toLowerCase()));
  let lastKnown: string | undefined;
  return (host) => {
    if (host === lastKnown) return true;
    const name = host.toLowerCase();
    const isKnown = hosts.has(name) || hosts.has(withoutPort(name));
    if (isKnown) lastKnown = host;
    return isKnown;
  };
}

/** Removes a valid port. Keeps an invalid one, so that such a host is never used in a URL. */
function withoutPort(host: string): string {
  const [ending, port] = /:(\d{1,5})$/.exec(host) ?? [];
  return ending !== undefined && Number(port) <= 65_535 ? host.slice(0, -ending.length) : host;
}
