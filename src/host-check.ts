/** Tells whether a Host header names one of these hosts, which may come with a port or stand for any. */
export function createHostCheck(names: readonly string[]): (host: string) => boolean {
  const hosts = new Set(names.map((name) => name.toLowerCase()));
  return (host) => {
    const name = host.toLowerCase();
    return hosts.has(name) || hosts.has(name.replace(/:\d+$/, ''));
  };
}
