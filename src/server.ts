import type { RequestListener } from 'node:http';
import { createAdminApp } from './admin/app.ts';
import { adminEndpoints } from './admin/endpoints.ts';
import { createPortalApp } from './admin/portal/portal-app.ts';
import { logCheckpoints } from './audit/audit-checkpoint.ts';
import { createAuditStreams } from './audit/stream-audit-log.ts';
import type { Config } from './config.ts';
import { configWarnings } from './configuration/environment.ts';
import { type Core, openCore } from './core.ts';
import { createRangeCheck } from './http/client-address.ts';
import { answerWhileStarting } from './http/health-endpoints.ts';
import { type Listeners, openListeners } from './http/listeners.ts';
import { watchOverload } from './http/overload.ts';
import { startPersonChecks } from './identity-providers/check-people.ts';
import { createPublicApp } from './oauth/public-app.ts';
import { createLog, logConsoleWarnings } from './observability/log.ts';
import type { Tracing } from './observability/tracing.ts';
import { giveMetrics } from './observability/worker-metrics.ts';
import { deleteTokensOfPerson } from './operator-tokens/bounded-token-store.ts';
import { collectGarbage } from './process/collect-garbage.ts';
import { createStartSteps } from './process/start-steps.ts';
import { isFirstWorker, isWorker, reportReady, superviseWorkers } from './process/workers.ts';
import { enlargeYoungGeneration } from './process/young-generation.ts';
import { rotateOldSigningKey } from './tokens/signing-keys.ts';

export type RunningServer = {
  publicUrl: string;
  adminUrl: string;
  /** Undefined if this process does not serve the portal. */
  portalUrl: string | undefined;
  /** Responds to the requests that have arrived, then closes the listeners. The stores stay open. */
  close(): Promise<void>;
};

/**
 * Serves on opened stores.
 * @param options.listeners those that were opened before the stores; opened here if not given.
 * @param options.drainMs milliseconds that connections may stay idle during shutdown before they are closed.
 * @param options.isOverloaded returns whether the public listener and the portal must reject requests to shed load.
 * @throws {UsageError} if an address is in use or cannot be listened on.
 */
export async function startServer(
  core: Core,
  {
    listeners: opened,
    drainMs = 5_000,
    isOverloaded = () => false,
  }: { listeners?: Listeners | undefined; drainMs?: number; isOverloaded?: () => boolean } = {},
): Promise<RunningServer> {
  logConsoleWarnings(core.log);
  await core.readiness.start();
  const listeners =
    opened ??
    (await openListeners(
      core.config,
      core.log,
      answerWhileStarting(() => []),
    ));
  const { clientCa, publicUrl, adminUrl, portalUrl } = listeners;
  let draining = false;
  const isDraining = () => draining;
  const publicApp = createPublicApp(core, { isDraining, isOverloaded, clientCa });
  const endpoints = adminEndpoints(core);
  const watched = (listener: RequestListener) => core.tracing?.watchListener(listener) ?? listener;
  listeners.serve({
    public: watched(publicApp.listener),
    admin: watched(createAdminApp(core, endpoints).callback()),
    portal: watched(createPortalApp(core, endpoints, { isDraining, isOverloaded }).callback()),
  });
  const rotation = rotateSigningKeysByAge(core);
  const { config, unlimitedDatabase: database } = core;
  const streams = createAuditStreams({ ...core, database, auditStreams: config.auditStreams });
  core.notices.start();
  const stopChecks = startPersonChecks(core, deleteTokensOfPerson);
  streams.start();
  return {
    publicUrl,
    adminUrl,
    portalUrl,
    close: async () => {
      draining = true;
      clearInterval(rotation);
      publicApp.close();
      await Promise.all([listeners.close(drainMs), streams.close(), stopChecks()]);
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
      .catch((error: Error) => core.log.warn({ error: error.message }, 'failed to rotate the signing key'));
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
  const tracing = await startTracing(config);
  const steps = createStartSteps(log);
  const opensEarly = !isWorker() || isFirstWorker();
  const listeners = opensEarly ? await openListeners(config, log, answerWhileStarting(steps.waitsFor)) : undefined;
  const core = await openCore(config, log, { steps, tracing }).catch(async (error: unknown) => {
    await listeners?.close(0);
    throw error;
  });
  const overload = watchOverload();
  const server = await startServer(core, { ...overload, listeners }).catch(async (error: unknown) => {
    await listeners?.close(0);
    await core.close();
    throw error;
  });
  giveMetrics(core.metrics.collect);
  collectGarbage();
  enlargeYoungGeneration();
  log.info(
    { public: server.publicUrl, admin: server.adminUrl, portal: server.portalUrl, issuer: config.issuer },
    'Keyturn is ready',
  );
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
