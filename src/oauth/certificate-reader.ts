import { hash, X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { KnownClient } from '../clients/client.ts';
import { keyCredentialsOf, refusalOfCredential, usableFirst } from '../clients/key-credentials.ts';
import { type ClientCertificate, isInDate, refusalOfCertificate } from '../clients/registered-certificate.ts';
import type { Core } from '../core.ts';
import { KeyturnError } from '../errors.ts';
import { createRangeCheck, plainAddress } from '../http/client-address.ts';
import { countHeaders } from '../http/normalize-request.ts';
import { readCertificates } from '../http/tls-files.ts';
import { createProxyAlarm } from '../http/trusted-proxies.ts';
import { readForwardedCertificate } from '../resource-server/token-binding.ts';
import type { UsedKey } from '../usage/client-key-store.ts';
import type { ExaminedAssertion } from './client-assertion.ts';

/** Accepted extended key usages (RFC 5280 §4.2.1.12): client authentication, and any. */
const clientUsages = ['1.3.6.1.5.5.7.3.2', '2.5.29.37.0'];

/**
 * Returns the client certificate of a request, `unreadable` if a proxy sent something else in its place, or undefined
 * if the request has none.
 * @throws {KeyturnError} `invalid_request` if a proxy sent the header more than once.
 */
export type CertificateReader = (request: IncomingMessage) => ClientCertificate | 'unreadable' | undefined;

/**
 * Creates a reader of client certificates. If the peer is a trusted proxy and a header is configured for it, the
 * certificate comes from that header; otherwise from the TLS handshake with this server. The header of any other peer
 * proves nothing and is ignored, and a proxy's own certificate is not its client's.
 * @param clientCa returns the current CAs of client certificates in PEM, or undefined if none are configured.
 */
export function createCertificateReader(
  { config, clock, log, metrics }: Core,
  clientCa: () => string | undefined,
): CertificateReader {
  const header = config.clientCertHeader;
  const isTrustedProxy = createRangeCheck(config.clientCertProxy);
  const alarm = createProxyAlarm({ log, metrics });
  const shown = new WeakMap<Socket, ClientCertificate>();
  let authorities: { pem: string; certificates: X509Certificate[] } | undefined;

  return (request) => {
    const { socket } = request;
    if (header !== undefined) {
      const peer = plainAddress(socket.remoteAddress ?? '');
      if (isTrustedProxy(peer)) return fromHeader(request, header, peer);
      if (request.headers[header] !== undefined) alarm('untrusted_certificate', peer);
    }
    return socket instanceof TLSSocket ? fromHandshake(socket) : undefined;
  };

  function fromHandshake(socket: TLSSocket): ClientCertificate | undefined {
    const known = shown.get(socket);
    if (known) return known;
    const x509 = socket.getPeerX509Certificate();
    if (!x509) return undefined;
    // Without configured CAs, Node.js would accept certificates of every public CA in the handshake.
    const certificate = describe(x509, socket.authorized && clientCa() !== undefined);
    shown.set(socket, certificate);
    return certificate;
  }

  function fromHeader(
    { headers, rawHeaders }: IncomingMessage,
    name: string,
    peer: string,
  ): ReturnType<CertificateReader> {
    if (countHeaders(rawHeaders, name) > 1) {
      throw new KeyturnError('invalid_request', 400, 'The request contains more than one client certificate.');
    }
    const x509 = readForwardedCertificate(String(headers[name] ?? ''));
    if (x509 === 'unreadable') alarm('unreadable_certificate', peer);
    return x509 instanceof X509Certificate ? describe(x509, isIssuedByOurs(x509)) : x509;
  }

  /**
   * Returns whether a configured CA issued the certificate. Without configured CAs, the proxy has checked the issuer.
   */
  function isIssuedByOurs(x509: X509Certificate): boolean {
    const pem = clientCa();
    if (pem === undefined) return true;
    if (authorities?.pem !== pem) authorities = { pem, certificates: readCertificates(pem, 'KEYTURN_TLS_CLIENT_CA') };
    if (x509.keyUsage && !x509.keyUsage.some((usage) => clientUsages.includes(usage))) return false;
    return authorities.certificates.some(
      (ca) => ca.ca && isInDate({ x509: ca }, clock()) && x509.checkIssued(ca) && x509.verify(ca.publicKey),
    );
  }
}

function describe(x509: X509Certificate, isTrusted: boolean): ClientCertificate {
  return { x509, thumbprint: hash('sha256', x509.raw, 'base64url'), isTrusted };
}

/** The certificate of a request that names its client. */
export type PresentedCertificate = { clientId: string; certificate: ClientCertificate | 'unreadable' };

/** Returns the first credential that a certificate matches, or why the first one rejects it. */
export function examineCertificate(
  core: Core,
  known: KnownClient,
  { clientId, certificate }: PresentedCertificate,
): ExaminedAssertion {
  if (!known.client.enabled) return { refusal: 'client_disabled' };
  if (certificate === 'unreadable') return { refusal: 'certificate_unreadable' };
  const now = core.clock();
  let refusal = 'wrong_method';
  for (const credential of usableFirst(keyCredentialsOf(known, now), clientId, now)) {
    const reason = refusalOfCertificate(credential.registration, certificate, now);
    if (!reason) {
      const key: UsedKey = { kind: 'certificate', kid: null, thumbprint: certificate.thumbprint };
      return { refusal: refusalOfCredential(credential, clientId, now), credential, key };
    }
    if (refusal === 'wrong_method') refusal = reason;
  }
  return { refusal };
}
