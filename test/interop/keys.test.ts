import * as oauth from 'oauth4webapi';
import * as client from 'openid-client';
import { freePort } from '../free-port.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { registerKeyClient } from '../oauth/assertion.ts';
import { registerAll, type TestClient } from '../oauth/fixture.ts';

let server: TestServer;
let issuer: string;
let orders: TestClient;
let keys: oauth.CryptoKeyPair;
let clientId: string;

beforeAll(async () => {
  const port = await freePort();
  issuer = `http://localhost:${port}`;
  server = await startTestServer({ env: { KEYTURN_PORT: String(port), KEYTURN_ISSUER: issuer } });
  ({ orders } = await registerAll(server.core));
  keys = await oauth.generateKeyPair('ES256', { extractable: true });
  const jwk = await crypto.subtle.exportKey('jwk', keys.publicKey);
  // Register the key as exported, with ext and key_ops.
  clientId = await registerKeyClient(server.core, { jwks: { keys: [jwk] } }, { scope: 'orders:read' });
});

afterAll(() => server?.close());

describe('openid-client with private_key_jwt', () => {
  const discover = (id: string, authentication: client.ClientAuth) =>
    client.discovery(new URL(issuer), id, undefined, authentication, {
      algorithm: 'oauth2',
      execute: [client.allowInsecureRequests],
    });

  it('gets a token and revokes it', async () => {
    const integration = await discover(clientId, client.PrivateKeyJwt(keys.privateKey));
    const tokens = await client.clientCredentialsGrant(integration);
    expect(tokens).toMatchObject({ token_type: 'bearer', scope: 'orders:read' });
    await client.tokenRevocation(integration, tokens.access_token);
    const api = await discover(orders.id, client.ClientSecretBasic(orders.secret));
    expect(await client.tokenIntrospection(api, tokens.access_token)).toEqual({ active: false });
  });

  it('gets a token bound by DPoP, and handles the nonce itself', async () => {
    const integration = await discover(clientId, client.PrivateKeyJwt(keys.privateKey));
    const handle = client.getDPoPHandle(integration, await client.randomDPoPKeyPair('EdDSA'));
    const tokens = await client.clientCredentialsGrant(integration, {}, { DPoP: handle });
    expect(tokens.token_type).toBe('dpop');
    const api = await discover(orders.id, client.ClientSecretBasic(orders.secret));
    expect(await client.tokenIntrospection(api, tokens.access_token)).toMatchObject({
      active: true,
      token_type: 'DPoP',
      cnf: { jkt: await handle.calculateThumbprint() },
    });
  });
});

it('oauth4webapi with private_key_jwt and DPoP gets the nonce with the first answer and the token with the second', async () => {
  const insecure = { [oauth.allowInsecureRequests]: true };
  const url = new URL(issuer);
  const discovered = await oauth.discoveryRequest(url, { algorithm: 'oauth2', ...insecure });
  const as = await oauth.processDiscoveryResponse(url, discovered);
  expect(as.token_endpoint_auth_methods_supported).toContain('private_key_jwt');
  expect(as.dpop_signing_alg_values_supported).toContain('ES256');
  const self = { client_id: clientId };
  const DPoP = oauth.DPoP({ [oauth.clockSkew]: 0 }, await oauth.generateKeyPair('ES256'));
  const request = async () => {
    const authentication = oauth.PrivateKeyJwt(keys.privateKey);
    const response = await oauth.clientCredentialsGrantRequest(as, self, authentication, {}, { DPoP, ...insecure });
    return await oauth.processClientCredentialsResponse(as, self, response);
  };
  expect(oauth.isDPoPNonceError(await request().catch((error: unknown) => error))).toBe(true);
  expect(await request()).toMatchObject({ token_type: 'dpop', scope: 'orders:read' });
});
