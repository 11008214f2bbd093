import { createHash, X509Certificate } from 'node:crypto';
import { type AccessToken, AccessTokenError } from './access-token.ts';
import type { DpopProofs } from './dpop.ts';
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

const pemBlock = /-----BEGIN CERTIFICATE-----([^-]+)-----END CERTIFICATE-----[\s,]*/y;
/** A Byte Sequence (RFC 8941) with optional parameters, as in RFC 9440 §2.1. */
const byteSequence = /^:([A-Za-z0-9+/=]*):\s*(?:;.*)?$/;
/** The keys that Envoy writes into X-Forwarded-Client-Cert. */
const envoyKey = /^(?:by|hash|cert|chain|subject|uri|dns)=/i;

/**
 * Reads the client certificate that a proxy forwards in a header:
 * - RFC 9440 `Client-Cert`, with parameters or without padding;
 * - base64 of the DER form (HAProxy), several of them separated by commas (Traefik), or percent-encoded;
 * - PEM, percent-encoded (nginx `$ssl_client_escaped_cert`, AWS ALB), or with spaces or tabs for line breaks (Apache
 * httpd);
 * - Envoy's `X-Forwarded-Client-Cert` with one element that has `Cert` or `Chain`.
 * Of a chain, the first certificate is the client's, and each following one is the issuer of the one before.
 * @returns undefined if the header contains no certificate (it is empty, or `(null)` from Apache httpd), and
 * `unreadable` for anything else. Several elements from Envoy are unreadable, because the client's own cannot be
 * identified.
 */
export function readForwardedCertificate(header: string): X509Certificate | 'unreadable' | undefined {
  const text = header.trim();
  if (text === '' || text === '(null)') return undefined;
  const certificate = envoyKey.test(text) ? envoyCertificate(text) : text;
  const chain = certificate === undefined ? [] : base64Of(certificate).map(parse);
  const [own] = chain;
  // Reject a second certificate that did not issue the first: it would be ambiguous which one is the client's.
  const isChain = chain.every((each, index) => each && (index === 0 || chain[index - 1]?.checkIssued(each)));
  return own && isChain ? own : 'unreadable';
}

/** Returns the certificates in a string as base64, or an empty list if it contains anything else. */
function base64Of(text: string): string[] {
  const bytes = byteSequence.exec(text)?.[1];
  if (bytes !== undefined) return [bytes];
  const plain = percentDecoded(text).trim();
  if (!plain.startsWith('-----')) return plain.split(',').map((part) => part.trim());
  const blocks = [...plain.matchAll(new RegExp(pemBlock, 'gy'))];
  const isWhole = blocks.reduce((length, [block]) => length + block.length, 0) === plain.length;
  return isWhole ? blocks.map(([, base64 = '']) => base64.replace(/\s/g, '')) : [];
}

/** Returns the certificate of the only element, or undefined if there are several elements or certificates. */
function envoyCertificate(text: string): string | undefined {
  const pairs = [...text.matchAll(/([A-Za-z]+)=("(?:[^"\\]|\\.)*"|[^;,"]*)(;|,|$)/gy)];
  const isWhole = pairs.reduce((length, [pair]) => length + pair.length, 0) === text.length;
  if (!isWhole || pairs.some(([, , , separator]) => separator === ',')) return undefined;
  const valuesOf = (key: string) =>
    pairs.filter(([, name = '']) => name.toLowerCase() === key).map(([, , value = '']) => value.replace(/^"|"$/g, ''));
  const certificates = valuesOf('cert');
  const found = certificates.length > 0 ? certificates : valuesOf('chain');
  return found.length === 1 ? found[0] : undefined;
}

function percentDecoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

function parse(base64: string): X509Certificate | undefined {
  const der = Buffer.from(base64, 'base64');
  // Encode again to detect characters that the decoder skipped. Only padding may be missing.
  if (der.length === 0 || unpadded(der.toString('base64')) !== unpadded(base64)) return undefined;
  try {
    const x509 = new X509Certificate(der);
    return x509.raw.equals(der) ? x509 : undefined;
  } catch {
    return undefined;
  }
}

function unpadded(base64: string): string {
  return base64.replace(/={1,2}$/, '');
}
