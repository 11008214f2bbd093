import { accessKeyActPages } from './access-keys/access-key-act-pages.ts';
import { accessKeyPages } from './access-keys/access-key-pages.ts';
import { accessKeysPage } from './access-keys/access-keys-page.ts';
import { newAccessKeyPages } from './access-keys/new-access-key-pages.ts';
import { auditPages } from './audit-pages.ts';
import { authorizationTokenPages } from './clients/authorization-token-pages.ts';
import { clientActPages } from './clients/client-act-pages.ts';
import { clientEditPages } from './clients/client-edit-pages.ts';
import { clientPage } from './clients/client-page.ts';
import { clientRegeneratePages, clientSecretPages } from './clients/client-secret-pages.ts';
import { generatePages } from './clients/generate-pages.ts';
import { integrationsPage } from './clients/integrations-page.ts';
import { resourceServersPage } from './clients/resource-servers-page.ts';
import { contactActPages } from './contacts/contact-act-pages.ts';
import { contactFormPages } from './contacts/contact-form-pages.ts';
import { contactPage } from './contacts/contact-page.ts';
import { contactsPage } from './contacts/contacts-page.ts';
import type { Page } from './page.ts';
import { settingsPage } from './settings-page.ts';
import { signingKeysPages } from './signing-keys-pages.ts';
import { startPage } from './start-page.ts';

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
