import express from 'express';
import { createAccessTokenVerifier, expressBearerAuth } from 'keyturn/resource-server';

const { ISSUER, RESOURCE, API_ID, API_SECRET, PORT } = process.env;
const verifier = createAccessTokenVerifier({
  issuer: ISSUER,
  resource: RESOURCE,
  clientId: API_ID,
  clientSecret: API_SECRET,
});

const app = express();

app.get(verifier.metadataPath, (_request, response) => {
  response.json(verifier.metadata);
});

app.get('/orders', expressBearerAuth(verifier, { scope: 'orders:read' }), (request, response) => {
  response.json({ caller: request.accessToken.clientId });
});

app.listen(PORT);
