import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type JWTHeaderParameters, type JWTPayload, SignJWT } from 'jose';

type Changes = { claims?: JWTPayload; header?: Partial<JWTHeaderParameters>; isForged?: boolean; metadata?: object };

/** A provider that answers with whatever ID token a test gives it. It asks nobody, and accepts every code. */
export type HostileProvider = {
  issuer: string;
  /** What its next answers differ in from those of a correct provider. */
  changes: Changes;
  /** Signs claims with its key, or, if forged, with another one. */
  sign(claims: JWTPayload, more?: Pick<Changes, 'header' | 'isForged'>): Promise<string>;
  close(): Promise<void>;
};

export async function startHostileProvider(clientId: string): Promise<HostileProvider> {
  const [own, other] = [makeKey(), makeKey()];
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  let nonce = '';
  const provider: HostileProvider = {
    issuer,
    changes: {},
    sign: (claims, { header, isForged } = {}) =>
      new SignJWT({ iss: issuer, aud: clientId, iat: now(), exp: now() + 300, jti: randomUUID(), ...claims })
        .setProtectedHeader({ alg: 'ES256', kid: 'own', ...header })
        .sign((isForged ? other : own).privateKey),
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };

  server.on('request', async (request, response) => {
    const url = new URL(request.url ?? '/', issuer);
    const json = (body: object) => {
      response.setHeader('Content-Type', 'application/json');
      response.end(JSON.stringify(body));
    };
    if (url.pathname === '/.well-known/openid-configuration') {
      json({
        issuer,
        authorization_endpoint: `${issuer}/authorize`,
        token_endpoint: `${issuer}/token`,
        jwks_uri: `${issuer}/jwks`,
        response_types_supported: ['code'],
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['ES256'],
        ...provider.changes.metadata,
      });
    } else if (url.pathname === '/jwks') {
      json({ keys: [{ ...own.publicKey.export({ format: 'jwk' }), kid: 'own', alg: 'ES256', use: 'sig' }] });
    } else if (url.pathname === '/authorize') {
      nonce = url.searchParams.get('nonce') ?? '';
      const back = new URL(url.searchParams.get('redirect_uri') ?? '');
      back.search = String(new URLSearchParams({ code: 'any', state: url.searchParams.get('state') ?? '' }));
      response.writeHead(303, { Location: back.href }).end();
    } else if (url.pathname === '/token') {
      const { claims, ...more } = provider.changes;
      const idToken = await provider.sign({ sub: 'anyone', nonce, ...claims }, more);
      json({ access_token: 'a', token_type: 'Bearer', expires_in: 60, id_token: idToken });
    } else response.writeHead(404).end();
  });
  return provider;
}

function makeKey() {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

function now(): number {
  return Math.floor(Date.now() / 1_000);
}
