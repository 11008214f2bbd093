/** Tells whether a Host header names one of these hosts, which may come with a port or stand for any. */
export function createHostCheck(names: readonly string[]): (host: string) => boolean {
  const hosts = new Set(names.map((name) => name.toLowerCase()));
  let lastKnown: string | undefined;
  return (host) => {
    if (host === lastKnown) return true;
    const name = host.toLowerCase();
    const isKnown = hosts.has(name) || hosts.has(name.replace(/:\d+$/, ''));
    if (isKnown) lastKnown = host;
    return isKnown;
  };
}
