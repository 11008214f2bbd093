import { randomUUID } from 'node:crypto';
import { CompactSign } from 'jose';
import type { SigningPair } from './assertion.ts';

export type ProofChange = { claims?: Record<string, unknown>; header?: Record<string, unknown> };

/** Makes a valid DPoP proof (RFC 9449 §4.2) for a POST with the given changes. A claim that is undefined is omitted. */
export async function makeDpopProof(
  { alg, privateKey, publicJwk }: SigningPair,
  { htu, nonce }: { htu: string; nonce: string | undefined },
  { claims = {}, header = {} }: ProofChange = {},
): Promise<string> {
  const now = Math.floor(Date.now() / 1_000);
  const payload = { jti: randomUUID(), htm: 'POST', htu, iat: now, nonce, ...claims };
  return await new CompactSign(Buffer.from(JSON.stringify(payload)))
    .setProtectedHeader({ alg, typ: 'dpop+jwt', jwk: publicJwk, ...header })
    .sign(privateKey);
}
