import type { Config } from '../config.ts';

/**
 * Returns warnings about valid settings that usually mean that another one was forgotten. Each text names the variable
 * and what to do.
 */
export function configWarnings({ databaseUrl, rootKey, issuer, dataDir }: Config): string[] {
  if (databaseUrl) return [];
  const embedded = `is set, but DATABASE_URL is not: all data is in the embedded database in ${dataDir}`;
  return [
    ...(rootKey ? [`KEYTURN_ROOT_KEY ${embedded}`] : []),
    ...(issuer.startsWith('https:') ? [`KEYTURN_ISSUER ${embedded}, with an https issuer`] : []),
  ].map((warning) => `${warning}. Set DATABASE_URL for a deployment that others use.`);
}
