import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose';
import { makeCertificate } from '../certificates.ts';

export type IssuerKey = { privateKey: CryptoKey; jwk: JWK & { kid: string; alg: string } };

/** A stand-in for a platform that issues workload identities, on a loopback address with TLS of its own CA. */
export type FakeIssuer = {
  url: string;
  /** The CA of its certificate, in PEM. */
  ca: string;
  /** The keys that it publishes; the first one signs. */
  keys: IssuerKey[];
  /** Replaces its metadata, or makes it fail. */
  metadata: ((url: string) => object) | undefined;
  isDown: boolean;
  /** The requests that it received, with their Authorization header. */
  requests: { path: string; authorization: string | undefined }[];
  sign(claims: JWTPayload, change?: { key?: IssuerKey; header?: object }): Promise<string>;
  close(): Promise<void>;
};

export async function makeIssuerKey(kid: string, alg = 'RS256'): Promise<IssuerKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
}

export async function signWith(
  { privateKey, jwk }: IssuerKey,
  claims: JWTPayload,
  header: object = {},
): Promise<string> {
  return await new SignJWT(claims)
    .setProtectedHeader({ alg: jwk.alg, kid: jwk.kid, typ: 'JWT', ...header })
    .sign(privateKey);
}

export async function startIssuer(alg = 'RS256'): Promise<FakeIssuer> {
  const authority = makeCertificate({ subject: 'Fake CA', isCa: true });
  const { cert, key } = makeCertificate({
    subject: 'localhost',
    issuer: authority,
    dns: ['localhost'],
    ip: ['127.0.0.1'],
  });
  const server = createServer({ cert, key }, ({ url: path = '', headers }, response) => {
    issuer.requests.push({ path, authorization: headers.authorization });
    if (issuer.isDown) return void response.writeHead(500).end();
    const documents: Record<string, object> = {
      '/.well-known/openid-configuration': issuer.metadata?.(issuer.url) ?? {
        issuer: issuer.url,
        jwks_uri: `${issuer.url}/keys`,
      },
      '/keys': { keys: issuer.keys.map(({ jwk }) => jwk) },
      '/openid/v1/jwks': { keys: issuer.keys.map(({ jwk }) => jwk) },
    };
    const document = documents[path];
    response.writeHead(document ? 200 : 404, { 'content-type': 'application/json' });
    response.end(JSON.stringify(document ?? {}));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer: FakeIssuer = {
    url: `https://localhost:${(server.address() as AddressInfo).port}`,
    ca: authority.cert,
    keys: [await makeIssuerKey('key-1', alg)],
    metadata: undefined,
    isDown: false,
    requests: [],
    sign: async (claims, { key: by = issuer.keys[0] as IssuerKey, header } = {}) => await signWith(by, claims, header),
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
  return issuer;
}

type Times = { now: number; audience: string };

/** The claims of a job of GitHub Actions, in the form that GitHub documents. */
export function githubClaims(iss: string, { now, audience }: Times, changes: object = {}): JWTPayload {
  return {
    jti: crypto.randomUUID(),
    sub: 'repo:octo-org/shop:environment:production',
    environment: 'production',
    aud: audience,
    ref: 'refs/heads/main',
    sha: '9c1185a5c5e9fc54612808977ee8f548b2258d31',
    repository: 'octo-org/shop',
    repository_owner: 'octo-org',
    actor_id: '12',
    repository_visibility: 'private',
    repository_id: '719384512',
    repository_owner_id: '65',
    run_id: '7023456789',
    run_number: '10',
    run_attempt: '2',
    runner_environment: 'github-hosted',
    actor: 'octocat',
    workflow: 'deploy',
    head_ref: '',
    base_ref: '',
    event_name: 'workflow_dispatch',
    ref_type: 'branch',
    job_workflow_ref: 'octo-org/shop/.github/workflows/deploy.yml@refs/heads/main',
    iss,
    nbf: now - 5,
    iat: now,
    exp: now + 300,
    ...changes,
  };
}

/** The claims of a projected token of a Kubernetes service account. */
export function kubernetesClaims(
  iss: string,
  { now, audience }: Times,
  changes: object = {},
  inside: object = {},
): JWTPayload {
  return {
    aud: [audience],
    exp: now + 3_607,
    iat: now,
    iss,
    jti: crypto.randomUUID(),
    'kubernetes.io': {
      namespace: 'shop',
      node: { name: 'node-1', uid: '646e7c5e-32d6-4d42-9dbd-e504e6cbe6b1' },
      pod: { name: 'checkout-6d8f', uid: '5e0bd49b-f040-43b0-99b7-22765a53f7f3' },
      serviceaccount: { name: 'checkout', uid: '14ee3fa4-a7e2-420f-9f9a-dbc4507c3798' },
      ...inside,
    },
    nbf: now,
    sub: 'system:serviceaccount:shop:checkout',
    ...changes,
  };
}

/** The claims of a JWT-SVID, which has no issuer of its own. */
export function spiffeClaims({ now, audience }: Times, changes: object = {}): JWTPayload {
  return { sub: 'spiffe://example.org/ns/shop/sa/checkout', aud: [audience], exp: now + 300, iat: now, ...changes };
}
