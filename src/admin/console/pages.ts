import type { Page } from './page.ts';
import { accessKeyActPages } from './pages/access-key-act-pages.ts';
import { accessKeyPages } from './pages/access-key-pages.ts';
import { accessKeysPage } from './pages/access-keys-page.ts';
import { auditPages } from './pages/audit-pages.ts';
import { authorizationTokenPages } from './pages/authorization-token-pages.ts';
import { clientActPages } from './pages/client-act-pages.ts';
import { clientEditPages } from './pages/client-edit-pages.ts';
import { clientPage } from './pages/client-page.ts';
import { clientRegeneratePages } from './pages/client-regenerate-pages.ts';
import { clientSecretPages } from './pages/client-secret-pages.ts';
import { contactActPages } from './pages/contact-act-pages.ts';
import { contactFormPages } from './pages/contact-form-pages.ts';
import { contactPage } from './pages/contact-page.ts';
import { contactsPage } from './pages/contacts-page.ts';
import { generatePages } from './pages/generate-pages.ts';
import { integrationsPage } from './pages/integrations-page.ts';
import { newAccessKeyPages } from './pages/new-access-key-pages.ts';
import { resourceServersPage } from './pages/resource-servers-page.ts';
import { settingsPage } from './pages/settings-page.ts';
import { signingKeysPages } from './pages/signing-keys-pages.ts';
import { startPage } from './pages/start-page.ts';

/** Every page of the console for somebody who is signed in. The first that fits an address counts. */
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
