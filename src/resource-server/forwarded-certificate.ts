import { X509Certificate } from 'node:crypto';

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
