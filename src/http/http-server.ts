import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { Duplex } from 'node:stream';
import { type SecureContextOptions, TLSSocket } from 'node:tls';
import { PlainRequest } from '../oauth/fast-path/plain-exchange.ts';
import type { Log } from '../observability/log.ts';
import { plainAddress } from './address-ranges.ts';
import type { FollowedTlsFiles } from './follow-tls-files.ts';
import type { TlsFiles } from './tls-files.ts';

export type HttpServer = Server<typeof PlainRequest> | TlsServer<typeof PlainRequest>;

const options = {
  IncomingMessage: PlainRequest,
  maxHeaderSize: 16 * 1024,
  headersTimeout: 10_000,
  requestTimeout: 15_000,
  keepAliveTimeout: 65_000,
  connectionsCheckingInterval: 1_000,
  // RFC 9112 §2.2 and §5.2: what two parsers could read differently is refused.
  insecureHTTPParser: false,
  // The listeners look at Host themselves, and answer as they always do.
  requireHostHeader: false,
} as const;

/** A peer can try again and again, so the log says so at most this often. */
const alarmEveryMs = 60_000;

/** FAPI 2.0 §5.2.2, BCP 195: all of TLS 1.3, and of TLS 1.2 what has forward secrecy and AES-GCM. */
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
 * HTTP/1.1, over TLS where there is a certificate for it.
 * @param clientCertificates whether clients are asked for one: any is taken here, and judged where it matters.
 */
export function createHttpServer(
  listener: RequestListener,
  tls: FollowedTlsFiles,
  { clientCertificates, log }: { clientCertificates: boolean; log: Log },
): HttpServer {
  const server = tls.current().cert === undefined ? createServer(options, listener) : createSecure();
  const noteUntrustedCertificate = createCertificateAlarm(log);
  server.on('clientError', (error, socket) => {
    noteUntrustedCertificate(socket);
    refuseUnreadable(error, socket);
  });
  // Counted by the listener, which answers 431; by itself Node would drop what is over its limit in silence.
  server.maxHeadersCount = 0;
  return server;

  function createSecure(): TlsServer<typeof PlainRequest> {
    const asked = { requestCert: clientCertificates, rejectUnauthorized: false, handshakeTimeout: 10_000 };
    const secure = createTlsServer({ ...options, ...asked, ...secureContext(tls.current()) }, listener);
    let earlier = new WeakSet<Duplex>();
    const open = new Set<Duplex>();
    secure.on('secureConnection', (socket) => {
      open.add(socket);
      socket.once('close', () => open.delete(socket));
    });
    // What was agreed with other files ends with its next answer: a CA that is gone is gone for everybody.
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
 * Returns a function that logs a connection which ends because of its client certificate, at most once a minute. A certificate that
 * names one of our CAs as its issuer, but was signed with another RSA key, makes OpenSSL end the connection before any request is read.
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

/** As Node answers what is not HTTP, but with the headers that every answer has. */
function refuseUnreadable(error: NodeJS.ErrnoException, socket: Duplex): void {
  const statuses: Record<string, string> = {
    HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
    HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Payload Too Large',
    ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
  };
  const status = statuses[error.code ?? ''] ?? '400 Bad Request';
  // An answer that has begun would be torn apart by a second one.
  const { _httpMessage: begun } = socket as Duplex & { _httpMessage?: ServerResponse };
  if (socket.writable && !begun?.headersSent) {
    socket.write(
      `HTTP/1.1 ${status}\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
    );
  }
  socket.destroy();
}
