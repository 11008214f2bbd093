import type { Page } from './page.ts';
import { accessKeyActPages } from './pages/access-keys/access-key-act-pages.ts';
import { accessKeyPages } from './pages/access-keys/access-key-pages.ts';
import { accessKeysPage } from './pages/access-keys/access-keys-page.ts';
import { newAccessKeyPages } from './pages/access-keys/new-access-key-pages.ts';
import { apiReferencePages } from './pages/api-reference-pages.ts';
import { approvalPages } from './pages/approvals/approval-pages.ts';
import { approvalSettingsPages } from './pages/approvals/approval-settings-page.ts';
import { auditPages } from './pages/audit-pages.ts';
import { authorizationTokenPages } from './pages/clients/authorization-token-pages.ts';
import { clientActPages } from './pages/clients/client-act-pages.ts';
import { clientEditPages } from './pages/clients/client-edit-pages.ts';
import { integrationsPage, resourceServersPage } from './pages/clients/client-list-pages.ts';
import { clientPage } from './pages/clients/client-page.ts';
import { clientRegeneratePages, clientSecretPages } from './pages/clients/client-secret-pages.ts';
import { generatePages } from './pages/clients/generate-pages.ts';
import { commandLinePages } from './pages/command-line-pages.ts';
import { contactActPages, contactFormPages } from './pages/contacts/contact-change-pages.ts';
import { contactPage, contactsPage } from './pages/contacts/contact-pages.ts';
import { disableAccessKeysPages } from './pages/contacts/disable-access-keys-pages.ts';
import { operatorTokenPages } from './pages/contacts/operator-token-pages.ts';
import { expirationPages } from './pages/expiration-pages.ts';
import { explainPages } from './pages/explain-page.ts';
import { homePage } from './pages/home-page.ts';
import { identityProviderPages } from './pages/identity-providers/identity-provider-pages.ts';
import { invitationPages } from './pages/invitations/invitation-pages.ts';
import { noticePages } from './pages/notice-pages.ts';
import { noticeSettingsPages } from './pages/notice-settings-page.ts';
import { boundedTokenPages } from './pages/operator-tokens/bounded-token-pages.ts';
import { tokenNetworksPages } from './pages/operator-tokens/token-networks-page.ts';
import { organizationActPages } from './pages/organizations/organization-act-pages.ts';
import { organizationFormPages } from './pages/organizations/organization-form-pages.ts';
import { organizationPage, organizationsPage } from './pages/organizations/organization-pages.ts';
import { passkeyPages } from './pages/passkey-pages.ts';
import { policyPages } from './pages/posture/policy-pages.ts';
import { posturePage } from './pages/posture/posture-page.ts';
import { searchPage } from './pages/search-page.ts';
import { sessionPages } from './pages/session-pages.ts';
import { signingKeysPages } from './pages/signing-keys-pages.ts';
import { systemPage } from './pages/system-page.ts';
import { trustFormPages } from './pages/trusts/trust-form-pages.ts';
import { trustPages } from './pages/trusts/trust-pages.ts';
import { trustTestPages } from './pages/trusts/trust-test-pages.ts';
import { undoEditPage } from './pages/undo-edit-page.ts';
import { webhookActPages } from './pages/webhooks/webhook-act-pages.ts';
import { webhookFormPages } from './pages/webhooks/webhook-form-pages.ts';
import { webhookPages } from './pages/webhooks/webhook-pages.ts';

import { welcomePages } from './pages/welcome-pages.ts';

/** Pages about the things of an organization, which both sites have. */
const sharedPages: readonly Page[] = [
  homePage,
  ...expirationPages,
  searchPage,
  undoEditPage,
  integrationsPage,
  ...generatePages,
  clientPage,
  ...clientActPages,
  ...clientEditPages,
  ...clientSecretPages,
  ...clientRegeneratePages,
  ...authorizationTokenPages,
  accessKeysPage,
  ...accessKeyPages,
  ...accessKeyActPages,
  ...newAccessKeyPages,
  contactsPage,
  ...contactFormPages,
  contactPage,
  ...contactActPages,
  ...disableAccessKeysPages,
  ...sessionPages,
  ...invitationPages,
  ...welcomePages,
  ...passkeyPages,
  ...auditPages,
  posturePage,
  ...approvalSettingsPages,
  ...approvalPages,
];

/** Pages about the deployment, and about access to the admin listener. */
const operatorPages: readonly Page[] = [
  ...policyPages,
  ...noticeSettingsPages,
  ...noticePages,
  ...operatorTokenPages,
  ...webhookFormPages,
  ...webhookPages,
  ...webhookActPages,
  ...trustFormPages,
  ...trustTestPages,
  ...trustPages,
  ...boundedTokenPages,
  ...tokenNetworksPages,
  ...commandLinePages,
  ...identityProviderPages,
  organizationsPage,
  ...organizationFormPages,
  organizationPage,
  ...organizationActPages,
  resourceServersPage,
  ...signingKeysPages,
  ...explainPages,
  systemPage,
  ...apiReferencePages,
];

/** Lists every page of the console that requires a session. The first page that matches a path is served. */
export const consolePages: readonly Page[] = [...sharedPages, ...operatorPages];

/** Lists every page of the portal. */
export const portalPages: readonly Page[] = sharedPages.filter(({ isForDeployment }) => !isForDeployment);
