import { hash, X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { createRangeCheck, plainAddress } from '../address-ranges.ts';
import { type ClientCertificate, isInDate } from '../clients/client-certificate.ts';
import type { Core } from '../core.ts';
import { KeyturnError } from '../errors.ts';
import { readCertificates } from '../tls-files.ts';
import { countHeaders } from './count-headers.ts';

/** RFC 5280 §4.2.1.12: for clients, and for anything. */
const clientUsages = ['1.3.6.1.5.5.7.3.2', '2.5.29.37.0'];

/** @throws {KeyturnError} `invalid_request` when a proxy hands over more than one. */
export type CertificateReader = (request: IncomingMessage) => ClientCertificate | undefined;

/**
 * The certificate that a client has shown: in the handshake with us, or, where the peer is a trusted proxy and a header is named for
 * it, in the one with that proxy. From anybody else such a header is only a claim, and a proxy's own certificate is not its clients'.
 * @param clientCa the CAs of clients' certificates in PEM, as they are now; undefined: there are none.
 */
export function createCertificateReader(
  { config, clock }: Core,
  clientCa: () => string | undefined,
): CertificateReader {
  const header = config.clientCertHeader;
  const isTrustedProxy = createRangeCheck(config.trustProxy);
  const shown = new WeakMap<Socket, ClientCertificate>();
  let authorities: { pem: string; certificates: X509Certificate[] } | undefined;

  return (request) => {
    const { socket } = request;
    if (header !== undefined && isTrustedProxy(plainAddress(socket.remoteAddress ?? ''))) {
      return fromHeader(request, header);
    }
    return socket instanceof TLSSocket ? fromHandshake(socket) : undefined;
  };

  function fromHandshake(socket: TLSSocket): ClientCertificate | undefined {
    const known = shown.get(socket);
    if (known) return known;
    const x509 = socket.getPeerX509Certificate();
    if (!x509) return undefined;
    // Without CAs of ours, the handshake would have taken any public one's word.
    const certificate = describe(x509, socket.authorized && clientCa() !== undefined);
    shown.set(socket, certificate);
    return certificate;
  }

  function fromHeader({ headers, rawHeaders }: IncomingMessage, name: string): ClientCertificate | undefined {
    if (countHeaders(rawHeaders, name) > 1) {
      throw new KeyturnError('invalid_request', 400, 'There is more than one client certificate.');
    }
    const x509 = parse(String(headers[name] ?? ''));
    return x509 && describe(x509, isIssuedByOurs(x509));
  }

  /** Where we name no CAs, the proxy does, and lets nothing else through. */
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

/**
 * The one certificate of a header, whose form says itself which it is: RFC 9440's byte sequence, base64 alone, or PEM with
 * percent-encoding, as nginx and others send it. Undefined for anything else.
 */
function parse(value: string): X509Certificate | undefined {
  const pem = /^-----BEGIN CERTIFICATE-----([^-]+)-----END CERTIFICATE-----\s*$/.exec(percentDecoded(value))?.[1];
  const base64 = pem?.replace(/\s/g, '') ?? /^:(.*):$/.exec(value)?.[1] ?? value;
  const der = Buffer.from(base64, 'base64');
  // What was skipped in reading is missing when it is written again.
  if (der.length === 0 || der.toString('base64') !== base64) return undefined;
  try {
    const x509 = new X509Certificate(der);
    return x509.raw.equals(der) ? x509 : undefined;
  } catch {
    return undefined;
  }
}

function percentDecoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
