import type { Page } from './page.ts';
import { integrationsPage } from './pages/integrations-page.ts';
import { startPage } from './pages/start-page.ts';

/** Every page of the console for somebody who is signed in. */
export const consolePages: readonly Page[] = [startPage, integrationsPage];
