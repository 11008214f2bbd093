/** What a URL or host name of this server may be. */

export function isIssuer(value: string): boolean {
  if (!URL.canParse(value)) return false;
  const { protocol, pathname, search, hash, username, password } = new URL(value);
  return /^https?:$/.test(protocol) && pathname === '/' && !search && !hash && !username && !password;
}

export function defaultIssuer(scheme: 'http' | 'https', port: number): string {
  // Port 0 is any free port, which is known only after the start.
  return Number.isNaN(port) || port === 0
    ? `${scheme}://localhost:4000`
    : new URL(`${scheme}://localhost:${port}`).origin;
}

export function isHostName(value: string): boolean {
  return /^[a-z0-9_]([\w.-]*[\w.])?$/i.test(value) && !/^[\d.]+$/.test(value);
}
