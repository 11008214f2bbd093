import Koa from 'koa';
import type { Core } from '../../core.ts';
import { createAddressReader } from '../../http/client-address.ts';
import { serveHealth } from '../../http/health-endpoints.ts';
import { normalize } from '../../http/normalize-request.ts';
import { shedLoad } from '../../http/overload.ts';
import { createProxyAlarm } from '../../http/trusted-proxies.ts';
import { serveBackChannelLogout } from '../back-channel-logout.ts';
import { portalPages } from '../console/pages.ts';
import { serveSite } from '../console/serve-site.ts';
import type { Endpoint } from '../endpoint.ts';
import { logAccess, recordRefusals, requireKnownHost, requireOwnOrigin } from '../listener-middleware.ts';
import { renderProblem, respondWithError } from '../respond-with-error.ts';
import { portalSignIn } from './portal-sign-in.ts';
import { addHandoverRoutes } from './serve-handover.ts';

/**
 * Creates the portal listener. It serves the pages of the portal, their assets, and the health endpoints, and nothing of
 * the admin API and the console.
 * @param endpoints the same instances that the admin listener serves.
 */
export function createPortalApp(
  core: Core,
  endpoints: readonly Endpoint[],
  process: { isDraining: () => boolean; isOverloaded: () => boolean },
): Koa {
  const { portalHost: host, portalUrl, issuer } = core.config;
  const url = portalUrl ?? issuer;
  const addressOf = createAddressReader(core.config.trustProxy, createProxyAlarm(core));
  const signIn = portalSignIn(core, addressOf);
  const app = new Koa();
  app.use(logAccess(core, addressOf, { name: 'portal', url }));
  app.use(recordRefusals(core, addressOf));
  app.use(respondWithError(core.log, 'page', renderProblem));
  app.use(normalize);
  app.use(serveHealth(core.readiness, process));
  app.use(shedLoad(process.isOverloaded));
  app.use(requireKnownHost(core, { host, url }));
  app.use(serveBackChannelLogout(core));
  app.use(requireOwnOrigin);
  app.use(
    serveSite(core, endpoints, addressOf, {
      name: 'portal',
      cookie: 'keyturn-portal',
      pages: portalPages,
      signIn: {
        ...signIn,
        addRoutes: (router) => {
          signIn.addRoutes(router);
          addHandoverRoutes(router, core, addressOf);
        },
      },
    }),
  );
  return app;
}
