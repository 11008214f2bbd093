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

// Everything from here on needs a token; what it must be good for can be said for each route.
app.use(koaBearerAuth(verifier, { scope: 'orders:read' }));

app.use((ctx) => {
  ctx.body = { caller: ctx.state.accessToken.clientId };
});

app.listen(PORT);
