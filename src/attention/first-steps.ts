import type { Queryable } from '../storage/database.ts';

/** Which of the first steps with a new deployment were taken, in their order. */
export type FirstSteps = {
  /** A resource server is registered. */
  resourceServer: boolean;
  /** An integration is registered. */
  integration: boolean;
  /** A token was requested with the credential of a client or an access key. */
  token: boolean;
  /** A credential was rotated. */
  rotation: boolean;
};

export async function findFirstSteps(database: Queryable): Promise<FirstSteps> {
  const [row] = await database.query<Record<'resource_server' | 'integration' | 'token' | 'rotation', boolean>>(
    `SELECT EXISTS (SELECT FROM clients WHERE kind = 'resource_server') AS resource_server,
       EXISTS (SELECT FROM clients WHERE kind = 'integration') AS integration,
       EXISTS (SELECT FROM usage_hours WHERE outcome = 'issued') AS token,
       EXISTS (SELECT FROM regenerations) AS rotation`,
  );
  return {
    resourceServer: row?.resource_server ?? false,
    integration: row?.integration ?? false,
    token: row?.token ?? false,
    rotation: row?.rotation ?? false,
  };
}
