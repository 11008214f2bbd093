/** @jmondi/oauth2-server as its documentation sets it up: clients in memory, tokens (signed by it with HS256) in Redis. No limits, counters or log. */
import { AuthorizationServer, OAuthException, OAuthRequest } from '@jmondi/oauth2-server';
import { Redis } from 'ioredis';
import { serveForms } from './form-server.js';

const redis = new Redis(process.env.REDIS_URL, { enableAutoPipelining: true });
const scope = { name: 'orders:read' };
const clients = new Map(
  JSON.parse(process.env.CLIENTS).map(([id, secret]) => [
    id,
    { id, secret, name: id, redirectUris: [], allowedGrants: ['client_credentials'], scopes: [scope] },
  ]),
);

const tokens = {
  issueToken: async (client, scopes) => ({
    accessToken: crypto.randomUUID(),
    accessTokenExpiresAt: new Date(Date.now() + 3_600_000),
    client,
    scopes,
  }),
  persist: async ({ accessToken, accessTokenExpiresAt, client, scopes }) => {
    const record = { client: client.id, scopes, accessTokenExpiresAt: accessTokenExpiresAt.getTime() };
    await redis.set(`jmondi:${accessToken}`, JSON.stringify(record), 'EX', 3600);
  },
  getByAccessToken: async (accessToken) => {
    const text = await redis.get(`jmondi:${accessToken}`);
    if (text === null) throw new Error('unknown token');
    const record = JSON.parse(text);
    const accessTokenExpiresAt = new Date(record.accessTokenExpiresAt);
    return { accessToken, accessTokenExpiresAt, client: clients.get(record.client), scopes: record.scopes };
  },
  revoke: async ({ accessToken }) => void (await redis.del(`jmondi:${accessToken}`)),
};
const server = new AuthorizationServer(
  {
    getByIdentifier: async (id) => clients.get(id),
    isClientValid: async (_grant, client, secret) => client?.secret === secret,
  },
  tokens,
  { getAllByIdentifiers: async () => [scope], finalize: async (scopes) => scopes },
  'a key to sign with',
  { requiresPKCE: false, useOpaqueAccessTokens: false },
);
server.enableGrantType('client_credentials');

serveForms(async ({ headers, url }, body) => {
  const request = new OAuthRequest({ headers, body, query: {} });
  try {
    return url === '/token' ? await server.respondToAccessTokenRequest(request) : await server.introspect(request);
  } catch (error) {
    if (!(error instanceof OAuthException)) throw error;
    return { status: error.status, body: { error: error.errorType } };
  }
});
