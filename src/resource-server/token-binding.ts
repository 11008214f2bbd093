import type { AccessToken } from './access-token.ts';
import { AccessTokenError } from './access-token-error.ts';
import { certificateOfConnection, certificateThumbprint } from './client-certificate.ts';
import type { DpopProofs } from './dpop-proof.ts';
import type { PresentedToken } from './presented-token.ts';
import type { ReceivedRequest } from './received-request.ts';

export type BindingOptions = {
  proofs: DpopProofs;
  /** The URL under which callers reach this API. If undefined, no DPoP proof can be checked. */
  publicUrl: string | undefined;
  clientCertificate: ((request: ReceivedRequest) => Uint8Array | string | undefined) | undefined;
};

/** The binding of a token (RFC 7800 §3.1): a DPoP key (RFC 9449 §6), a certificate (RFC 8705 §3.1), or both. */
type Confirmation = { jkt?: unknown; 'x5t#S256'?: unknown; [other: string]: unknown };

/**
 * Requires proof that the caller is the one to whom a bound token was issued.
 * @param request undefined if only the token is available, in which case nothing can be proven.
 * @throws {AccessTokenError} `invalid_token`, `invalid_dpop_proof` or `use_dpop_nonce`.
 */
export async function requireBinding(
  options: BindingOptions,
  found: AccessToken,
  { scheme, token }: PresentedToken,
  request: ReceivedRequest | undefined,
): Promise<void> {
  const confirmation = found.claims['cnf'] as Confirmation | undefined;
  if (confirmation === undefined && scheme === 'Bearer') return;
  const { jkt, 'x5t#S256': thumbprint, ...others } = confirmation ?? {};
  // RFC 9449 §7.1: a bound token must use the DPoP scheme, and only a bound token may.
  if ((jkt !== undefined) !== (scheme === 'DPoP')) throw refusal('The access token is not of this scheme.');
  // A confirmation method that cannot be checked here counts as not proven.
  if (!request || Object.keys(others).length > 0 || (jkt ?? thumbprint) === undefined) {
    throw refusal('The access token is bound to something that was not proven.');
  }
  if (thumbprint !== undefined && thumbprint !== thumbprintOf(options, request)) {
    throw refusal('The access token is bound to another client certificate.');
  }
  if (jkt === undefined) return;
  const { publicUrl, proofs } = options;
  const url = publicUrl === undefined || request.path === undefined ? undefined : publicUrl + request.path;
  await proofs.require(request.header('dpop'), { method: request.method, url, token }, String(jkt));
}

function thumbprintOf({ clientCertificate }: BindingOptions, request: ReceivedRequest): string | undefined {
  const certificate = clientCertificate ? clientCertificate(request) : certificateOfConnection(request.socket);
  return certificate === undefined || certificate.length === 0 ? undefined : certificateThumbprint(certificate);
}

function refusal(message: string): AccessTokenError {
  return new AccessTokenError('invalid_token', message);
}
