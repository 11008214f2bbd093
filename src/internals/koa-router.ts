/** Returns the path of the route that serves a request, with the names of its parameters; `other` if there is none. */
export function matchedRouteOf(ctx: object): string {
  return (ctx as { _matchedRoute?: string })._matchedRoute ?? 'other';
}
