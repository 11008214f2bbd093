/** Where to go on after signing in: a page of the console, whatever somebody put into a link. */
export function ownPath(path: string | null | undefined): `/console/${string}` {
  const base = 'http://console.invalid';
  if (!path || !URL.canParse(path, base)) return '/console/';
  const { origin, pathname, search } = new URL(path, base);
  const isOwn = origin === base && pathname.startsWith('/console/') && !pathname.startsWith('/console/sign-');
  return isOwn ? (`${pathname}${search}` as `/console/${string}`) : '/console/';
}
