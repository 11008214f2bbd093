import fastify from 'fastify';
import { createAccessTokenVerifier, fastifyBearerAuth } from 'keyturn/resource-server';

const { ISSUER, RESOURCE, API_ID, API_SECRET, PORT } = process.env;
const verifier = createAccessTokenVerifier({
  issuer: ISSUER,
  resource: RESOURCE,
  clientId: API_ID,
  clientSecret: API_SECRET,
});

const app = fastify();

app.get(verifier.metadataPath, async () => verifier.metadata);

app.get('/orders', { onRequest: fastifyBearerAuth(verifier, { scope: 'orders:read' }) }, async (request) => ({
  caller: request.accessToken.clientId,
}));

await app.listen({ port: PORT });
