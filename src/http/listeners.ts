import { IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server as TlsServer } from 'node:tls';
import type { Config } from '../config.ts';
import { UsageError } from '../errors.ts';
import { PlainRequest, stopListening } from '../internals/node-http.ts';
import type { Log } from '../observability/log.ts';
import { createHttpServer, type HttpServer } from './http-server.ts';
import { followTlsFiles } from './tls-files.ts';

/** The open listeners of a process. */
export type Listeners = {
  publicUrl: string;
  adminUrl: string;
  /** Undefined if this process does not serve the portal. */
  portalUrl: string | undefined;
  /** Returns the current CAs of client certificates, in PEM. */
  clientCa(): string | undefined;
  /** Passes every later request to these, instead of the one for the time of the start. */
  serve(listeners: { public: RequestListener; admin: RequestListener; portal: RequestListener }): void;
  /** Answers the requests that have arrived, then closes all. @param drainMs see `drain`. */
  close(drainMs: number): Promise<void>;
};

/**
 * Opens the listeners.
 * @param starting answers requests until `serve` is called.
 * @throws {UsageError} if an address is in use or cannot be listened on.
 */
export async function openListeners(config: Config, log: Log, starting: RequestListener): Promise<Listeners> {
  const tls = followTlsFiles(config.tlsFiles, log);
  const publicServer = createHttpServer(starting, tls, { requestClass: PlainRequest, clientCertificates: true, log });
  const forPeople = { requestClass: IncomingMessage, clientCertificates: false, log };
  const adminServer = createHttpServer(starting, tls, forPeople);
  const portalServer = config.portalPort === undefined ? undefined : createHttpServer(starting, tls, forPeople);
  const servers = [publicServer, adminServer, ...(portalServer ? [portalServer] : [])];
  const close = async (drainMs: number) => {
    tls.stop();
    await Promise.all(servers.map((server) => server.listening && drain(server, drainMs)));
  };
  try {
    return {
      publicUrl: await listen(publicServer, config.port, config.host),
      adminUrl: await listen(adminServer, config.adminPort, config.adminHost),
      portalUrl: portalServer && (await listen(portalServer, config.portalPort ?? 0, config.portalHost)),
      clientCa: () => tls.current().clientCa,
      serve: (listeners) => {
        publicServer.off('request', starting).on('request', listeners.public);
        adminServer.off('request', starting).on('request', listeners.admin);
        portalServer?.off('request', starting).on('request', listeners.portal);
      },
      close,
    };
  } catch (error) {
    await close(0);
    throw error;
  }
}

const hostVariables = 'KEYTURN_HOST, KEYTURN_ADMIN_HOST or KEYTURN_PORTAL_HOST';

/** Messages for errors of `listen` that can be fixed in the configuration. */
const listenProblems: Record<string, ((port: number, host: string) => string) | undefined> = {
  EADDRINUSE: (port, host) => `Port ${port} of ${host} is taken. Free it, or choose another port.`,
  EACCES: (port, host) => `This user may not listen on port ${port} of ${host}. Choose a port from 1024.`,
  EADDRNOTAVAIL: (_, host) => `This machine has no address ${host}: correct ${hostVariables}.`,
  ENOTFOUND: (_, host) => `The host name ${host} has no address: correct ${hostVariables}.`,
};

async function listen(server: HttpServer, port: number, host: string): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const reason = listenProblems[error.code ?? '']?.(port, host);
      reject(reason ? new UsageError(reason) : error);
    });
    server.listen(port, host, resolve);
  });
  const { port: actual, family, address } = server.address() as AddressInfo;
  const reachable = address === '0.0.0.0' || address === '::' ? '127.0.0.1' : address;
  const scheme = server instanceof TlsServer ? 'https' : 'http';
  return `${scheme}://${family === 'IPv6' && reachable.includes(':') ? `[${reachable}]` : reachable}:${actual}`;
}

/**
 * Accepts no further connections, closes each open connection after its next response, and closes those that stay idle
 * for `drainMs`. Idle connections are not closed at once, because their next request may be on its way. Closes every
 * connection five seconds later.
 */
async function drain(server: HttpServer, drainMs: number): Promise<void> {
  server.prependListener('request', (_request, response) => response.setHeader('Connection', 'close'));
  const closed = new Promise<void>((resolve) => server.once('close', resolve));
  const timer = setTimeout(() => server.closeIdleConnections(), drainMs);
  const deadline = setTimeout(() => server.closeAllConnections(), drainMs + 5_000);
  stopListening(server);
  await closed;
  clearTimeout(timer);
  clearTimeout(deadline);
}
