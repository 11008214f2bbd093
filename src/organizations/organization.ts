import type { Ceiling } from '../clients/ceiling.ts';
import type { Labels } from '../clients/client-details.ts';
import type { PortalSettings } from './portal-settings.ts';

/** Name of the deployment's own organization until an operator changes it. */
export const unnamedDeployment = 'This deployment';

/**
 * A customer or partner of the deployment. Contacts and integrations belong to one organization, and access keys through
 * their contact. The deployment has an organization of its own.
 */
export type Organization = {
  id: string;
  name: string;
  /** The id in the operator's own system; unique. */
  externalId: string | null;
  /** While it is disabled, none of its clients, access keys and operator tokens is accepted. */
  enabled: boolean;
  labels: Labels;
  ceiling: Ceiling;
  portal: PortalSettings;
  revision: number;
  createdAt: Date;
  updatedAt: Date;
};
