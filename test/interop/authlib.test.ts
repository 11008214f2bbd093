import { execFile } from 'node:child_process';
import { KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { startTestServer, type TestServer } from '../harness.ts';
import { makePair, registerKeyClient } from '../oauth/assertion.ts';
import { endpointsOf, registerAll, type TestClient } from '../oauth/fixture.ts';
import { debianPython, testWith } from '../programs.ts';

/** Python with Authlib as an integration, used as in its documentation. */
const guarantee = testWith('Authlib');
const program = `
import json, os, time
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT

env = os.environ
session = OAuth2Session(
    env["CLIENT_ID"], env["CREDENTIAL"], scope="orders:read",
    token_endpoint_auth_method=env["METHOD"], revocation_endpoint_auth_method=env["METHOD"],
)
def authenticate():
    # As FAPI 2.0 has it, the audience is the issuer and the end is near; by itself Authlib names the token endpoint, and an hour.
    # It keeps the jti in the claims that it is given, so each request has claims of its own.
    if env["METHOD"] == "private_key_jwt":
        session.register_client_auth_method(PrivateKeyJWT(env["ISSUER"], {"exp": int(time.time()) + 60}, alg="ES256"))
authenticate()
token = session.fetch_token(env["TOKEN_URL"], grant_type="client_credentials")
authenticate()
revoked = session.revoke_token(env["REVOCATION_URL"], token=token["access_token"])
print(json.dumps({"token": token, "revocation": revoked.status_code}))
`;

let server: TestServer;
let shop: TestClient;

beforeAll(async () => {
  server = await startTestServer();
  ({ shop } = await registerAll(server.core));
});

afterAll(() => server?.close());

async function run(method: string, clientId: string, credential: string) {
  const { tokenUrl, revocationUrl } = endpointsOf(server.publicUrl);
  const { stdout } = await promisify(execFile)(debianPython, ['-c', program], {
    env: {
      METHOD: method,
      CLIENT_ID: clientId,
      CREDENTIAL: credential,
      ISSUER: 'http://localhost:4000',
      TOKEN_URL: tokenUrl,
      REVOCATION_URL: revocationUrl,
      AUTHLIB_INSECURE_TRANSPORT: '1',
    },
  });
  return JSON.parse(stdout);
}

const expected = { token: { token_type: 'Bearer', expires_in: 3600, scope: 'orders:read' }, revocation: 200 };

guarantee.each(['client_secret_basic', 'client_secret_post'])(
  'Authlib gets a token and revokes it, with %s',
  async (method) => {
    expect(await run(method, shop.id, shop.secret)).toMatchObject(expected);
    await expect(run(method, shop.id, shop.secret.toLowerCase())).rejects.toThrow(/invalid_client/);
  },
);

guarantee('Authlib gets a token and revokes it, with private_key_jwt', async () => {
  const { privateKey, publicJwk } = await makePair();
  const id = await registerKeyClient(server.core, { jwks: { keys: [publicJwk] } }, { scope: 'orders:read' });
  const pem = (key: object) =>
    KeyObject.from(key as CryptoKey)
      .export({ type: 'pkcs8', format: 'pem' })
      .toString();
  expect(await run('private_key_jwt', id, pem(privateKey))).toMatchObject(expected);
  await expect(run('private_key_jwt', id, pem((await makePair()).privateKey))).rejects.toThrow(/invalid_client/);
});
