import type { RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server as TlsServer } from 'node:tls';
import { createAdminApp } from './admin/app.ts';
import { logCheckpoints } from './audit/audit-checkpoint.ts';
import type { Config } from './config.ts';
import { configWarnings } from './configuration/environment.ts';
import { type Core, openCore } from './core.ts';
import { UsageError } from './errors.ts';
import { createRangeCheck } from './http/address-ranges.ts';
import { followTlsFiles } from './http/follow-tls-files.ts';
import { createHttpServer, type HttpServer } from './http/http-server.ts';
import { watchOverload } from './http/overload.ts';
import { createPublicApp } from './oauth/app.ts';
import { createLog } from './observability/log.ts';
import type { Tracing } from './observability/tracing.ts';
import { giveMetrics } from './observability/worker-metrics.ts';
import { isWorker, reportReady, superviseWorkers } from './process/workers.ts';
import { rotateOldSigningKey } from './tokens/signing-keys.ts';

export type RunningServer = {
  publicUrl: string;
  adminUrl: string;
  /** Responds to the requests that have arrived, then closes the listeners. The stores stay open. */
  close(): Promise<void>;
};

/**
 * Starts both listeners on opened stores.
 * @param options.drainMs milliseconds that connections may stay idle during shutdown before they are closed.
 * @param options.isOverloaded returns whether the public listener must reject requests to shed load.
 * @throws {UsageError} if an address is in use or cannot be listened on.
 */
export async function startServer(
  core: Core,
  { drainMs = 5_000, isOverloaded = () => false }: { drainMs?: number; isOverloaded?: () => boolean } = {},
): Promise<RunningServer> {
  const { config } = core;
  let draining = false;
  await core.readiness.start();
  const tls = followTlsFiles(config.tlsFiles, core.log);
  const clientCa = () => tls.current().clientCa;
  const publicApp = createPublicApp(core, { isDraining: () => draining, isOverloaded, clientCa });
  const watched = (listener: RequestListener) => core.tracing?.watchListener(listener) ?? listener;
  const publicServer = createHttpServer(watched(publicApp.listener), tls, { clientCertificates: true, log: core.log });
  const adminServer = createHttpServer(watched(createAdminApp(core).callback()), tls, {
    clientCertificates: false,
    log: core.log,
  });
  const stop = async () => {
    tls.stop();
    publicApp.close();
    await Promise.all([publicServer, adminServer].map((server) => server.listening && drain(server, drainMs)));
  };
  const [publicUrl, adminUrl] = await listenOnBoth(config, publicServer, adminServer).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  const rotation = rotateSigningKeysByAge(core);
  return {
    publicUrl,
    adminUrl,
    close: async () => {
      draining = true;
      clearInterval(rotation);
      await stop();
    },
  };
}

/** Loads OpenTelemetry only if tracing is configured. */
async function startTracing({ traces, trustProxy }: Config): Promise<Tracing | undefined> {
  if (!traces) return undefined;
  const { createTracing } = await import('./observability/tracing.ts');
  return createTracing(createRangeCheck(trustProxy));
}

/**
 * Rotates an old signing key, checked once an hour. If several processes check, one rotates and the others do nothing.
 */
function rotateSigningKeysByAge(core: Core): NodeJS.Timeout {
  const actor = { id: 'keyturn', name: 'Keyturn', address: null };
  const days = core.config.signingKeyDays;
  const rotate = () =>
    core
      .change((transaction) => rotateOldSigningKey(transaction, core, actor, days))
      .catch((error: Error) => core.log.warn({ error: error.message }, 'the signing key was not rotated'));
  return setInterval(() => void (days > 0 && core.clockCheck.isRight() && rotate()), 3_600_000).unref();
}

/**
 * Runs the `start` command: serves until SIGTERM, SIGINT or, without workers, SIGHUP, then drains requests and returns.
 */
export async function runServer(config: Config): Promise<void> {
  const log = createLog(config.logLevel);
  if (config.workers > 1 && !isWorker()) return await superviseWorkers(config.workers, log);
  // A SIGHUP to the whole process group reaches workers too. They ignore it, because the supervisor replaces them.
  if (isWorker()) process.on('SIGHUP', () => undefined);
  for (const warning of configWarnings(config)) log.warn(warning);
  const core = await openCore(config, log, { tracing: await startTracing(config) });
  giveMetrics(core.metrics.collect);
  const overload = watchOverload();
  const server = await startServer(core, overload).catch(async (error: unknown) => {
    await core.close();
    throw error;
  });
  log.info({ public: server.publicUrl, admin: server.adminUrl, issuer: config.issuer }, 'Keyturn is ready');
  reportReady();
  const stopCheckpoints = logCheckpoints(core.database, core.keyRing, log);
  const signal = await new Promise<string>((resolve) => {
    process.once('SIGTERM', resolve);
    process.once('SIGINT', resolve);
    // All settings are environment variables, so nothing can be reloaded. SIGHUP ends the process for its service
    // manager to start it again.
    if (!isWorker()) process.once('SIGHUP', resolve);
  });
  log.info({ signal }, 'shutting down, draining requests');
  await server.close();
  overload.stop();
  stopCheckpoints();
  await core.close();
  log.flush();
  process.disconnect?.();
}

/** Messages for errors of `listen` that can be fixed in the configuration. */
const listenProblems: Record<string, ((port: number, host: string) => string) | undefined> = {
  EADDRINUSE: (port, host) => `Port ${port} of ${host} is taken. Free it, or choose another port.`,
  EACCES: (port, host) => `This user may not listen on port ${port} of ${host}. Choose a port from 1024.`,
  EADDRNOTAVAIL: (_, host) => `This machine has no address ${host}: correct KEYTURN_HOST or KEYTURN_ADMIN_HOST.`,
  ENOTFOUND: (_, host) => `The host name ${host} has no address: correct KEYTURN_HOST or KEYTURN_ADMIN_HOST.`,
};

async function listenOnBoth(
  config: Config,
  publicServer: HttpServer,
  adminServer: HttpServer,
): Promise<[string, string]> {
  return [
    await listen(publicServer, config.port, config.host),
    await listen(adminServer, config.adminPort, config.adminHost),
  ];
}

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

/**
 * Stops accepting connections. `http.Server.close` also closes idle connections at once; `net.Server.close` does not.
 */
function stopListening(server: HttpServer): void {
  const { close } = Object.getPrototypeOf(Object.getPrototypeOf(server)) as Pick<HttpServer, 'close'>;
  close.call(server);
}
