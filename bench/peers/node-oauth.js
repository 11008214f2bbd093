/** @node-oauth/oauth2-server as its documentation sets it up: clients in memory, tokens in Redis. It has no introspection. No limits, counters or log. */
import OAuth2Server from '@node-oauth/oauth2-server';
import { Redis } from 'ioredis';
import { serveForms } from './form-server.js';

const redis = new Redis(process.env.REDIS_URL, { enableAutoPipelining: true });
const clients = new Map(
  JSON.parse(process.env.CLIENTS).map(([id, secret]) => [id, { id, secret, grants: ['client_credentials'] }]),
);

const server = new OAuth2Server({
  model: {
    getClient: async (id, secret) => {
      const client = clients.get(id);
      return client?.secret === secret ? client : undefined;
    },
    getUserFromClient: async ({ id }) => ({ id }),
    validateScope: async () => ['orders:read'],
    saveToken: async (token, client, user) => {
      const record = { ...token, client: client.id };
      await redis.set(`node-oauth:${token.accessToken}`, JSON.stringify(record), 'EX', 3600);
      return { ...token, client, user };
    },
  },
});

serveForms(async ({ headers, method }, body) => {
  const request = new OAuth2Server.Request({ headers, method, body, query: {} });
  const response = new OAuth2Server.Response();
  // It answers an error through the response, and throws it besides.
  await server.token(request, response).catch(() => undefined);
  return response;
});
