import { createHash, X509Certificate } from 'node:crypto';
import { type AccessToken, AccessTokenError } from './access-token.ts';
import type { DpopProofs } from './dpop.ts';
import { readForwardedCertificate } from './forwarded-certificate.ts';
import type { PresentedToken, ReceivedRequest } from './received-request.ts';

type BindingOptions = {
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
  if ((jkt !== undefined) !== (scheme === 'DPoP'))
    throw refusal('The access token must be sent with the other scheme (Bearer or DPoP).');
  // A confirmation method that cannot be checked here counts as not proven.
  if (!request || Object.keys(others).length > 0 || (jkt ?? thumbprint) === undefined) {
    throw refusal(
      'The access token is bound to a key or certificate, and the request does not prove possession of it.',
    );
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

/** Returns the client certificate of a Node.js TLS connection in DER, or undefined if it has none. */
function certificateOfConnection(socket: unknown): Uint8Array | undefined {
  const { getPeerX509Certificate } = (socket ?? {}) as { getPeerX509Certificate?: () => X509Certificate | undefined };
  return getPeerX509Certificate?.call(socket)?.raw;
}

/**
 * Returns the `x5t#S256` of a certificate (RFC 8705 §3.1): the SHA-256 of its DER form.
 * @param certificate DER; or a string as proxies forward it: PEM, percent-encoded PEM, base64, or base64 between colons
 * (RFC 9440).
 * @returns undefined if the value is not a certificate.
 */
function certificateThumbprint(certificate: Uint8Array | string): string | undefined {
  const x509 = typeof certificate === 'string' ? readForwardedCertificate(certificate) : parseDer(certificate);
  if (!x509 || x509 === 'unreadable') return undefined;
  return createHash('sha256').update(x509.raw).digest('base64url');
}

function parseDer(der: Uint8Array): X509Certificate | undefined {
  try {
    return new X509Certificate(der);
  } catch {
    return undefined;
  }
}
