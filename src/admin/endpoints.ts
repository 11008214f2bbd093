import type { GuardedRequest } from '../approvals/approval.ts';
import { spendInChange } from '../approvals/spending.ts';
import type { Core } from '../core.ts';
import type { Endpoint } from './endpoint.ts';
import { accessKeyRegenerationEndpoints } from './routes/access-key-regeneration-routes.ts';
import { accessKeyEndpoints } from './routes/access-key-routes.ts';
import { approvalEndpoints } from './routes/approval-routes.ts';
import { approvalSettingsEndpoints } from './routes/approval-settings-routes.ts';
import { attentionEndpoints } from './routes/attention-routes.ts';
import { auditEndpoints } from './routes/audit-routes.ts';
import { authorizationTokenEndpoints } from './routes/authorization-token-routes.ts';
import { clientRegenerationEndpoints } from './routes/client-regeneration-routes.ts';
import { clientEndpoints } from './routes/client-routes.ts';
import { configurationEndpoints } from './routes/configuration-routes.ts';
import { contactKeysEndpoints } from './routes/contact-keys-routes.ts';
import { contactEndpoints, operatorTokenEndpoints } from './routes/contact-routes.ts';
import { expirationEndpoints } from './routes/expiration-routes.ts';
import { explainEndpoints } from './routes/explain-routes.ts';
import { identityProviderEndpoints } from './routes/identity-provider-routes.ts';
import { importEndpoints } from './routes/import-routes.ts';
import { invitationEndpoints } from './routes/invitation-routes.ts';
import { leakEndpoints } from './routes/leak-routes.ts';
import { meEndpoints } from './routes/me-routes.ts';
import { networkEndpoints } from './routes/network-routes.ts';
import { noticeEndpoints } from './routes/notice-routes.ts';
import { noticeSettingsEndpoints } from './routes/notice-settings-routes.ts';
import { offerEndpoints } from './routes/offer-routes.ts';
import { boundedTokenEndpoints } from './routes/operator-token-routes.ts';
import { organizationEndpoints } from './routes/organization-routes.ts';
import { passkeyEndpoints } from './routes/passkey-routes.ts';
import { policyEndpoints } from './routes/policy-routes.ts';
import { portalSessionEndpoints } from './routes/portal-session-routes.ts';
import { postureEndpoints } from './routes/posture-routes.ts';
import { searchEndpoints } from './routes/search-routes.ts';
import { sessionEndpoints } from './routes/session-routes.ts';
import { signingKeyEndpoints } from './routes/signing-key-routes.ts';
import { trustEndpoints } from './routes/trust-routes.ts';
import { usageEndpoints } from './routes/usage-routes.ts';
import { webhookDeliveryEndpoints } from './routes/webhook-delivery-routes.ts';
import { webhookEndpoints } from './routes/webhook-routes.ts';
import { withApproval } from './with-approval.ts';
import { withinReach } from './within-reach.ts';

/** Returns every route of the admin API. The listener, the OpenAPI document and the tests use this list. */
export function adminEndpoints(core: Core): Endpoint[] {
  const whole = configurationEndpoints(core, thingEndpoints).map((endpoint) => withinReach(core, endpoint));
  return [...thingEndpoints(core), ...whole];
}

/** Returns the routes by which a configuration is read and applied: all others. */
function thingEndpoints(given: Core, needed?: GuardedRequest[]): Endpoint[] {
  const core = { ...given, change: spendInChange(given.change) };
  const endpoints = [
    ...attentionEndpoints(core),
    ...approvalSettingsEndpoints(core),
    ...approvalEndpoints(core),
    ...expirationEndpoints(core),
    ...noticeSettingsEndpoints(core),
    ...noticeEndpoints(core),
    ...searchEndpoints(core),
    ...clientEndpoints(core),
    ...importEndpoints(core),
    ...clientRegenerationEndpoints(core),
    ...webhookEndpoints(core),
    ...webhookDeliveryEndpoints(core),
    ...trustEndpoints(core),
    ...usageEndpoints(core),
    ...networkEndpoints(core),
    ...policyEndpoints(core),
    ...postureEndpoints(core),
    ...authorizationTokenEndpoints(core),
    ...organizationEndpoints(core),
    ...identityProviderEndpoints(core),
    ...contactEndpoints(core),
    ...operatorTokenEndpoints(core),
    ...invitationEndpoints(core),
    ...boundedTokenEndpoints(core),
    ...portalSessionEndpoints(core),
    ...offerEndpoints(core),
    ...accessKeyEndpoints(core),
    ...contactKeysEndpoints(core),
    ...accessKeyRegenerationEndpoints(core),
    ...signingKeyEndpoints(core),
    ...leakEndpoints(core),
    ...explainEndpoints(core),
    ...auditEndpoints(core),
    ...meEndpoints(core),
    ...sessionEndpoints(core),
    ...passkeyEndpoints(core),
  ];
  return endpoints.map((endpoint) => withinReach(core, withApproval(given, endpoint, needed)));
}
