import type { Agent } from 'node:http';
import { makeCertificate, type TestCertificate } from '../certificates.ts';
import { jwtBearer, makeAssertion, makePair, type SigningPair } from '../oauth/assertion.ts';
import { type Answer, post } from '../oauth/http-client.ts';

/** Credentials by which a program authenticates as its client. */
export type Proof =
  | { kind: 'secret'; secret: string }
  | { kind: 'key'; pair: SigningPair; kid?: string | undefined }
  | { kind: 'certificate'; certificate: TestCertificate };

/** The server lets this address hand over client certificates. */
const proxy = '127.0.0.2';
const issuer = 'https://auth.example';
export const proofEnv = {
  KEYTURN_ISSUER: issuer,
  KEYTURN_ALLOWED_HOSTS: '127.0.0.1',
  KEYTURN_FAILURES_PER_MINUTE: '0',
  KEYTURN_TRUST_PROXY: proxy,
  KEYTURN_CLIENT_CERT_HEADER: 'Client-Cert',
  KEYTURN_CLIENT_CERT_PROXY: proxy,
};

let kids = 0;

export async function makeKey(): Promise<Proof & { kind: 'key' }> {
  kids += 1;
  return { kind: 'key', pair: await makePair(), kid: `key-${kids}` };
}

export function makeSelfSigned(subject = 'sync'): Proof & { kind: 'certificate' } {
  const notAfter = new Date(Date.now() + 20 * 365 * 86_400_000);
  return { kind: 'certificate', certificate: makeCertificate({ subject, notAfter }) };
}

export function jwkOf({ pair, kid }: Proof & { kind: 'key' }): Record<string, unknown> {
  return { ...pair.publicJwk, kid };
}

/** Returns the registration of keys or a certificate, as `replace` and as members of a new client. */
export function registrationOf(proof: Exclude<Proof, { kind: 'secret' }>) {
  if (proof.kind === 'key') return { auth_method: 'private_key_jwt', jwks: { keys: [jwkOf(proof)] } };
  const { x509 } = proof.certificate;
  const key = { ...x509.publicKey.export({ format: 'jwk' }), x5c: [x509.raw.toString('base64')] };
  return { auth_method: 'self_signed_tls_client_auth', jwks: { keys: [key] } };
}

export type Asked = {
  now: number;
  form?: Record<string, string>;
  headers?: Record<string, string>;
  from?: string;
  agent?: Agent;
};

/** Sends a request that the client proves itself by. */
export async function askWith(url: string, clientId: string, proof: Proof, asked: Asked): Promise<Answer> {
  const { now, headers = {}, from, agent } = asked;
  const form = asked.form ?? { grant_type: 'client_credentials' };
  const options = { ...(from ? { from } : {}), ...(agent ? { agent } : {}) };
  switch (proof.kind) {
    case 'secret':
      return await post(url, form, { basic: [clientId, proof.secret], headers, ...options });
    case 'key': {
      const at = Math.floor(now / 1_000);
      const assertion = await makeAssertion(proof.pair, clientId, issuer, {
        claims: { iat: at, exp: at + 60 },
        header: proof.kid === undefined ? {} : { kid: proof.kid },
      });
      const authentication = { client_assertion_type: jwtBearer, client_assertion: assertion };
      return await post(url, { ...form, ...authentication }, { headers, ...options });
    }
    case 'certificate': {
      const handedOver = { 'Client-Cert': `:${proof.certificate.x509.raw.toString('base64')}:` };
      const forwarded = from ? { 'X-Forwarded-For': from } : {};
      const sent = { headers: { ...headers, ...handedOver, ...forwarded }, ...(agent ? { agent } : {}), from: proxy };
      return await post(url, { ...form, client_id: clientId }, sent);
    }
  }
}
