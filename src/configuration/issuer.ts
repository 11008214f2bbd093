/** What a URL or host name of this server may be. */

/** Returns whether a URL has a scheme, a host and a port only. */
export function isIssuer(value: string): boolean {
  if (!URL.canParse(value)) return false;
  const { protocol, pathname, search, hash, username, password } = new URL(value);
  return /^https?:$/.test(protocol) && pathname === '/' && !search && !hash && !username && !password;
}

/** Returns the URL of a port of this machine. @param usual the port to name while it is not known. */
export function localUrl(scheme: 'http' | 'https', port: number, usual: number): string {
  // Port 0 is any free port, which is known only after the start. A wrong port is reported as such.
  return new URL(`${scheme}://localhost:${port > 0 && port <= 65_535 ? port : usual}`).origin;
}

export function isHostName(value: string): boolean {
  return /^[a-z0-9_]([\w.-]*[\w.])?$/i.test(value) && !/^[\d.]+$/.test(value);
}
