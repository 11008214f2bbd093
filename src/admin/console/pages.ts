import { html } from 'htm/preact';
import { permissionNames } from '../../contacts/contact.ts';
import type { Page } from './page.ts';
import { accessKeyActPages } from './pages/access-keys/access-key-act-pages.ts';
import { accessKeyPages } from './pages/access-keys/access-key-pages.ts';
import { accessKeysPage } from './pages/access-keys/access-keys-page.ts';
import { newAccessKeyPages } from './pages/access-keys/new-access-key-pages.ts';
import { auditPages } from './pages/audit-pages.ts';
import { authorizationTokenPages } from './pages/clients/authorization-token-pages.ts';
import { clientActPages } from './pages/clients/client-act-pages.ts';
import { clientEditPages } from './pages/clients/client-edit-pages.ts';
import { integrationsPage, resourceServersPage } from './pages/clients/client-list-pages.ts';
import { clientPage } from './pages/clients/client-page.ts';
import { clientRegeneratePages, clientSecretPages } from './pages/clients/client-secret-pages.ts';
import { generatePages } from './pages/clients/generate-pages.ts';
import { contactActPages, contactFormPages } from './pages/contacts/contact-change-pages.ts';
import { contactPage, contactsPage } from './pages/contacts/contact-pages.ts';
import { explainPages } from './pages/explain-page.ts';
import { settingsPage } from './pages/settings-page.ts';
import { signingKeysPages } from './pages/signing-keys-pages.ts';
import { sectionsFor } from './render-document.ts';

/** Redirects to the first section that the operator may view. */
const startPage: Page = {
  method: 'get',
  path: '/',
  handle: async ({ operator }) => {
    const [first] = sectionsFor(operator.permissions);
    if (first) return { seeOther: first.path };
    return {
      title: 'No permissions yet',
      body: html`<div class="narrow">
        <h1>No permissions yet</h1>
        <p class="lead">You are signed in, but you do not have permission to open any page.</p>
        <p>Ask an operator with the permission “${permissionNames['contacts:manage']}” for access. Then sign in again.</p>
      </div>`,
    };
  },
};

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
  ...explainPages,
  settingsPage,
];
