import { createAccessTokenVerifier, koaBearerAuth } from 'keyturn/resource-server';
import Koa from 'koa';

const { ISSUER, RESOURCE, API_ID, API_SECRET, PORT } = process.env;
const verifier = createAccessTokenVerifier({
  issuer: ISSUER,
  resource: RESOURCE,
  clientId: API_ID,
  clientSecret: API_SECRET,
});

const app = new Koa();

app.use(async (ctx, next) => {
  if (ctx.path === verifier.metadataPath) ctx.body = verifier.metadata;
  else await next();
});

// All routes below require a token. A route can also require a scope of its own.
app.use(koaBearerAuth(verifier, { scope: 'orders:read' }));

app.use((ctx) => {
  ctx.body = { caller: ctx.state.accessToken.clientId };
});

app.listen(PORT);
