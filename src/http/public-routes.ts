/** The paths of the public listener with their methods. Its router and its OpenAPI document use this list. */
export const publicRoutes = {
  '/oauth2/token': 'POST',
  '/oauth2/introspect': 'POST',
  '/oauth2/revoke': 'POST',
  '/oauth2/events': 'GET',
  '/oauth2/whoami': 'GET, POST',
  '/oauth2/credentials/rotate': 'POST',
  '/.well-known/oauth-authorization-server': 'GET, HEAD',
  '/.well-known/openid-configuration': 'GET, HEAD',
  '/.well-known/jwks.json': 'GET, HEAD',
  '/healthz': 'GET, HEAD',
  '/readyz': 'GET, HEAD',
} as const;

export type PublicPath = keyof typeof publicRoutes;

export function isPublicPath(path: string): path is PublicPath {
  return Object.hasOwn(publicRoutes, path);
}
