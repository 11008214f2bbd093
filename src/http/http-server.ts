import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { Duplex } from 'node:stream';
import { type SecureContextOptions, TLSSocket } from 'node:tls';
import { hasBegunResponse } from '../internals/node-http.ts';
import type { Log } from '../observability/log.ts';
import { plainAddress } from './client-address.ts';
import type { FollowedTlsFiles, TlsFiles } from './tls-files.ts';

export type HttpServer = Server<typeof IncomingMessage> | TlsServer<typeof IncomingMessage>;

const options = {
  maxHeaderSize: 16 * 1024,
  headersTimeout: 10_000,
  requestTimeout: 15_000,
  keepAliveTimeout: 65_000,
  connectionsCheckingInterval: 1_000,
  // Strict parsing rejects messages that two parsers could read differently (RFC 9112 §2.2 and §5.2).
  insecureHTTPParser: false,
  // The listeners check Host themselves and reject a request in their usual error format.
  requireHostHeader: false,
} as const;

/** Minimum time between two log lines about client certificates, because a peer can retry at any rate. */
const alarmEveryMs = 60_000;

/**
 * Cipher suites of FAPI 2.0 §5.2.2 and BCP 195: TLS 1.3 without CCM, and those of TLS 1.2 with forward secrecy and
 * AES-GCM.
 */
const ciphers = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
].join(':');

/**
 * Creates an HTTP/1.1 server, over TLS if a certificate is configured.
 * @param requestClass the class of its requests: PlainRequest for the fast path, otherwise that of Node.
 * @param clientCertificates whether TLS clients are asked for a certificate. The handshake accepts any certificate; it
 * is verified when a client authenticates with it.
 */
export function createHttpServer(
  listener: RequestListener,
  tls: FollowedTlsFiles,
  {
    requestClass,
    clientCertificates,
    log,
  }: { requestClass: typeof IncomingMessage; clientCertificates: boolean; log: Log },
): HttpServer {
  const server =
    tls.current().cert === undefined
      ? createServer({ ...options, IncomingMessage: requestClass }, listener)
      : createSecure();
  const noteUntrustedCertificate = createCertificateAlarm(log);
  server.on('clientError', (error, socket) => {
    noteUntrustedCertificate(socket);
    refuseUnreadable(error, socket);
  });
  // Disable Node's own limit, which silently drops further headers. The listener counts headers and responds with 431.
  server.maxHeadersCount = 0;
  return server;

  function createSecure(): TlsServer<typeof IncomingMessage> {
    const asked = { requestCert: clientCertificates, rejectUnauthorized: false, handshakeTimeout: 10_000 };
    const secure = createTlsServer(
      { ...options, IncomingMessage: requestClass, ...asked, ...secureContext(tls.current()) },
      listener,
    );
    let earlier = new WeakSet<Duplex>();
    const open = new Set<Duplex>();
    secure.on('secureConnection', (socket) => {
      open.add(socket);
      socket.once('close', () => open.delete(socket));
    });
    // Close every connection that was opened with earlier files after its next response, so that a removed CA is no
    // longer trusted.
    secure.prependListener('request', ({ socket }, response) => {
      if (earlier.has(socket)) response.setHeader('Connection', 'close');
    });
    tls.onChange((files) => {
      secure.setSecureContext(secureContext(files));
      earlier = new WeakSet(open);
    });
    return secure;
  }
}

function secureContext({ cert, key, clientCa }: TlsFiles): SecureContextOptions {
  return { cert, key, ca: clientCa, minVersion: 'TLSv1.2', ciphers };
}

/**
 * Returns a function that logs a connection that was closed because of its client certificate, at most once a minute. A
 * certificate that names one of our CAs as its issuer but was signed with another RSA key makes OpenSSL close the
 * connection before any request is read.
 */
function createCertificateAlarm(log: Log): (socket: Duplex) => void {
  let loggedAt = Number.NEGATIVE_INFINITY;
  return (socket) => {
    if (!(socket instanceof TLSSocket) || !socket.authorizationError) return;
    if (performance.now() - loggedAt < alarmEveryMs) return;
    loggedAt = performance.now();
    log.warn(
      { peer: plainAddress(socket.remoteAddress ?? ''), reason: String(socket.authorizationError) },
      'closed a connection whose client certificate was not issued by a CA in KEYTURN_TLS_CLIENT_CA',
    );
  };
}

/** Rejects a message that is not valid HTTP as Node does, but with the headers of every other response. */
function refuseUnreadable(error: NodeJS.ErrnoException, socket: Duplex): void {
  const statuses: Record<string, string> = {
    HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
    HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Payload Too Large',
    ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
  };
  const status = statuses[error.code ?? ''] ?? '400 Bad Request';
  // Do not write into a response that has already started.
  if (socket.writable && !hasBegunResponse(socket)) {
    socket.write(
      `HTTP/1.1 ${status}\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
    );
  }
  socket.destroy();
}
