/**
 * better-auth with its OAuth 2.1 provider on SQLite in memory: clients with hashed secrets, opaque tokens. No limits, counters
 * or log.
 */
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { DatabaseSync } from 'node:sqlite';
import { oauthProvider } from '@better-auth/oauth-provider';
import { betterAuth } from 'better-auth';
import { getMigrations } from 'better-auth/db/migration';
import { toNodeHandler } from 'better-auth/node';
import { jwt } from 'better-auth/plugins';

const port = Number(process.env.PORT);
const auth = betterAuth({
  baseURL: `http://127.0.0.1:${port}`,
  basePath: '/',
  secret: 'nothing that anybody should use elsewhere',
  database: new DatabaseSync(':memory:'),
  rateLimit: { enabled: false },
  logger: { disabled: true },
  telemetry: { enabled: false },
  disabledPaths: ['/token'],
  plugins: [
    jwt(),
    oauthProvider({
      scopes: ['orders:read'],
      grantTypes: ['client_credentials'],
      loginPage: '/login',
      consentPage: '/consent',
      silenceWarnings: { oauthAuthServerConfig: true, openidConfig: true },
    }),
  ],
});

await (await getMigrations(auth.options)).runMigrations();
const { adapter } = await auth.$context;
for (const [clientId, secret] of JSON.parse(process.env.CLIENTS)) {
  await adapter.create({
    model: 'oauthClient',
    data: {
      clientId,
      clientSecret: createHash('sha256').update(secret).digest('base64url'),
      name: clientId,
      redirectUris: [],
      grantTypes: ['client_credentials'],
      tokenEndpointAuthMethod: 'client_secret_basic',
      clientCredentialsScopes: ['orders:read'],
      scopes: ['orders:read'],
      createdAt: new Date(),
      updatedAt: new Date(),
    },
  });
}
createServer(toNodeHandler(auth)).listen(port, '127.0.0.1');
