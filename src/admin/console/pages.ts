import type { Page } from './page.ts';
import { accessKeyActPages } from './pages/access-keys/access-key-act-pages.ts';
import { accessKeyPages } from './pages/access-keys/access-key-pages.ts';
import { accessKeysPage } from './pages/access-keys/access-keys-page.ts';
import { newAccessKeyPages } from './pages/access-keys/new-access-key-pages.ts';
import { auditPages } from './pages/audit-pages.ts';
import { authorizationTokenPages } from './pages/clients/authorization-token-pages.ts';
import { clientActPages } from './pages/clients/client-act-pages.ts';
import { clientEditPages } from './pages/clients/client-edit-pages.ts';
import { clientPage } from './pages/clients/client-page.ts';
import { clientRegeneratePages, clientSecretPages } from './pages/clients/client-secret-pages.ts';
import { generatePages } from './pages/clients/generate-pages.ts';
import { integrationsPage } from './pages/clients/integrations-page.ts';
import { resourceServersPage } from './pages/clients/resource-servers-page.ts';
import { contactActPages } from './pages/contacts/contact-act-pages.ts';
import { contactFormPages } from './pages/contacts/contact-form-pages.ts';
import { contactPage } from './pages/contacts/contact-page.ts';
import { contactsPage } from './pages/contacts/contacts-page.ts';
import { settingsPage } from './pages/settings-page.ts';
import { signingKeysPages } from './pages/signing-keys-pages.ts';
import { startPage } from './pages/start-page.ts';

/** Lists every console page that requires a session. The first page that matches a path is served. */
export const consolePages: readonly Page[] = [
  startPage,
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
  resourceServersPage,
  ...signingKeysPages,
  ...auditPages,
  settingsPage,
];
