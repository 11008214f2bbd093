import { createServer } from 'node:http';
import { createAccessTokenVerifier, fetchBearerAuth, protectedResourceMetadata } from 'keyturn/resource-server';

const { ISSUER, RESOURCE, API_ID, API_SECRET, PORT } = process.env;
const verifier = createAccessTokenVerifier({
  issuer: ISSUER,
  resource: RESOURCE,
  clientId: API_ID,
  clientSecret: API_SECRET,
});
const metadata = protectedResourceMetadata(verifier);

/** Handles a request in any runtime or framework that uses the Request and Response of fetch. */
async function handle(request) {
  const { pathname } = new URL(request.url);
  if (pathname === verifier.metadataPath) return metadata();
  const auth = await fetchBearerAuth(verifier, request, { scope: 'orders:read' });
  if (auth instanceof Response) return auth;
  return Response.json({ caller: auth.clientId });
}

// Serves the handler with Node's own HTTP server.
createServer(async ({ method, url, headers }, outgoing) => {
  const response = await handle(new Request(new URL(url, RESOURCE), { method, headers }));
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  outgoing.end(await response.text());
}).listen(PORT);
