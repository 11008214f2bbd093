import type { Core } from '../core.ts';
import { accessKeyRegenerationEndpoints } from './access-key-regeneration-routes.ts';
import { accessKeyEndpoints } from './access-key-routes.ts';
import { auditEndpoints } from './audit-routes.ts';
import { authorizationTokenEndpoints } from './authorization-token-routes.ts';
import { clientRegenerationEndpoints } from './client-regeneration-routes.ts';
import { clientEndpoints } from './client-routes.ts';
import { contactEndpoints } from './contact-routes.ts';
import type { Endpoint } from './endpoint.ts';
import { leakEndpoints } from './leak-routes.ts';
import { operatorTokenEndpoints } from './operator-token-routes.ts';
import { signingKeyEndpoints } from './signing-key-routes.ts';
import { usageEndpoints } from './usage-routes.ts';

/** Every route of the admin API: what is served, what OpenAPI tells, and what the tests walk through. */
export function adminEndpoints(core: Core): Endpoint[] {
  return [
    ...clientEndpoints(core),
    ...clientRegenerationEndpoints(core),
    ...usageEndpoints(core),
    ...authorizationTokenEndpoints(core),
    ...contactEndpoints(core),
    ...operatorTokenEndpoints(core),
    ...accessKeyEndpoints(core),
    ...accessKeyRegenerationEndpoints(core),
    ...signingKeyEndpoints(core),
    ...leakEndpoints(core),
    ...auditEndpoints(core),
  ];
}
