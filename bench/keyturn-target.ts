import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { generateSecret } from '../src/credentials/credential-format.ts';
import { freePort } from '../test/free-port.ts';
import { benchIssuer, type Deployment, type KeyClient } from './keyturn-deployment.ts';
import { startServerProcess } from './server-process.ts';
import { postRequest, type Target } from './target.ts';

const ownDirectory = fileURLToPath(new URL('..', import.meta.url));
const tokenPath = '/oauth2/token';
const form = { grant_type: 'client_credentials' };
const assertionType = { client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer' };

/**
 * Starts Keyturn as it is deployed: all features on, access log to a file.
 * @param directory a checkout of Keyturn, by default this one.
 */
export async function startKeyturn(
  deployment: Deployment,
  name: string,
  env: Record<string, string> = {},
  { on, directory = ownDirectory, instances = 0 }: { on?: 'anywhere'; directory?: string; instances?: number } = {},
): Promise<Target> {
  const [port, adminPort] = [await freePort(), await freePort()];
  const log = openSync(join(deployment.directory, `${name.replaceAll(/\W/g, '-')}.log`), 'a');
  const server = await startServerProcess({
    ...(on && { on }),
    args: [join(directory, 'src/main.ts'), 'start'],
    env: { ...deployment.env, KEYTURN_PORT: String(port), KEYTURN_ADMIN_PORT: String(adminPort), ...env },
    stdio: ['ignore', log, 'inherit'],
    isReady: async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).ok,
  });
  closeSync(log);
  return {
    ...server,
    name,
    port,
    tokenRequests: Array.from({ length: Math.max(instances, 1) }, (_, instance) =>
      deployment.integrations.map((client) =>
        postRequest(port, tokenPath, form, client, instances > 0 ? { 'Keyturn-Instance': `pod-${instance}` } : {}),
      ),
    ).flat(),
    workloadRequests: deployment.workloadTokens.map((token) =>
      postRequest(port, tokenPath, { ...form, ...assertionType, client_assertion: token }, undefined),
    ),
    jwtRequests: deployment.jwtIntegrations.map((client) => postRequest(port, tokenPath, form, client)),
    assertionRequest: createAssertionRequests(port, deployment),
    startProofs: () => startProofs(port, deployment),
    standaloneKeys: deployment.standaloneKeys,
    wrongSecretRequests: deployment.integrations.map(([id]) =>
      postRequest(port, tokenPath, form, [id, generateSecret('kts_')]),
    ),
    introspectionRequest: (token) => postRequest(port, '/oauth2/introspect', { token }, deployment.resourceServer),
    jwtIntrospectionRequest: (token) =>
      postRequest(port, '/oauth2/introspect', { token }, deployment.jwtResourceServer),
  };
}

/** Creates token requests of clients in turn that each have a new assertion in place of a secret (RFC 7523). */
function createAssertionRequests(port: number, { keyClients }: Deployment): () => Buffer {
  let at = 0;
  return () => {
    const { clientId, privateKey } = keyClients[at++ % keyClients.length] as KeyClient;
    const claims = { iss: clientId, sub: clientId, aud: benchIssuer, ...newClaims(), exp: seconds() + 60 };
    const assertion = signEs256(privateKey, {}, claims);
    return postRequest(port, tokenPath, { ...form, ...assertionType, client_assertion: assertion }, undefined);
  };
}

/** Gets a nonce, and returns a maker of token requests of clients in turn that each have a new proof (RFC 9449). */
async function startProofs(port: number, { integrations }: Deployment): Promise<() => Buffer> {
  const pairs = integrations.map(() => generateKeyPairSync('ec', { namedCurve: 'P-256' }));
  const jwks = pairs.map(({ publicKey }) => publicKey.export({ format: 'jwk' }));
  const url = new URL(tokenPath, benchIssuer).href;
  let nonce: string | null = null;
  let at = 0;
  const makeRequest = () => {
    const number = at++ % pairs.length;
    const { privateKey } = pairs[number] as (typeof pairs)[number];
    const header = { typ: 'dpop+jwt', jwk: jwks[number] };
    const proof = signEs256(privateKey, header, { htm: 'POST', htu: url, nonce, ...newClaims() });
    return postRequest(port, tokenPath, form, integrations[number], { DPoP: proof });
  };
  nonce = await askNonce(port, makeRequest());
  return makeRequest;
}

async function askNonce(port: number, request: Buffer): Promise<string | null> {
  const [head = '', body = ''] = request.toString().split('\r\n\r\n');
  const headers = head
    .split('\r\n')
    .slice(2)
    .map((line) => line.split(': ') as [string, string]);
  const answer = await fetch(`http://127.0.0.1:${port}${tokenPath}`, { method: 'POST', headers, body });
  return answer.headers.get('DPoP-Nonce');
}

function newClaims() {
  return { jti: randomBytes(16).toString('base64url'), iat: seconds() };
}

function seconds(): number {
  return Math.floor(Date.now() / 1_000);
}

function signEs256(privateKey: KeyObject, header: object, claims: object): string {
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
  const input = `${encode({ alg: 'ES256', ...header })}.${encode(claims)}`;
  const signature = sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' });
  return `${input}.${signature.toString('base64url')}`;
}
