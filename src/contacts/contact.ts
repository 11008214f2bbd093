import type { Permission } from '../operators/permission.ts';

/** A person or partner that the operator of the API deals with; an operator too, with permissions and an operator token. */
export type Contact = {
  id: string;
  name: string;
  email: string;
  /** Its id in the caller's own system; unique. */
  externalId: string | null;
  permissions: readonly Permission[];
  /** The last four characters of its operator token, if it has one. */
  operatorTokenHint: string | null;
  revision: number;
  createdAt: Date;
  updatedAt: Date;
};
