/**
 * Returns the path of the page of an integration or resource server.
 * @param more the path of a page below it, such as `/edit`.
 */
export function clientPath(clientId: unknown, more: `/${string}` | '' = ''): `/console/${string}` {
  return `/console/clients/${encodeURIComponent(String(clientId))}${more}`;
}
