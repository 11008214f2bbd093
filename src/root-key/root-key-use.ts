import type { Queryable } from '../storage/database.ts';

/** Everything that still uses one version of the root key and would be lost without it. */
export type RootKeyUse = {
  version: string;
  /** Live secrets and access keys whose verifier uses it. */
  secrets: number;
  /** How many of those have an end date; the last one ends at `secretsEndAt`. */
  secretsThatEnd: number;
  secretsEndAt: Date | null;
  /** Copies of live secrets, and signing secrets of webhooks, that are sealed under it. */
  sealedCopies: number;
  operatorTokens: number;
  signingKeys: number;
  /** Secrets that have ended. Without the version, attempts to use them can no longer be recognised. */
  endedSecrets: number;
};

/** Returns the use of each version that is in use. */
export async function findRootKeyUse(database: Queryable, now: Date): Promise<RootKeyUse[]> {
  const rows = await database.query<{
    version: string;
    secrets: number;
    ending: number;
    ends_at: Date | null;
    sealed: number;
    operators: number;
    signing: number;
    ended: number;
  }>(
    `SELECT version, sum(secrets)::bigint AS secrets, sum(ending)::bigint AS ending, max(ends_at) AS ends_at,
       sum(sealed)::bigint AS sealed, sum(operators)::bigint AS operators, sum(signing)::bigint AS signing,
       sum(ended)::bigint AS ended
     FROM (
       SELECT key_version AS version, count(*) FILTER (WHERE ${live}) AS secrets,
         count(*) FILTER (WHERE ${live} AND retires_at IS NOT NULL) AS ending,
         max(retires_at) FILTER (WHERE ${live}) AS ends_at, 0 AS sealed, 0 AS operators, 0 AS signing,
         count(*) FILTER (WHERE NOT (${live})) AS ended
       FROM secrets WHERE key_version <> '' GROUP BY key_version
       UNION ALL
       SELECT split_part(sealed, '.', 1), 0, 0, NULL, count(*), 0, 0, 0 FROM secrets
       WHERE sealed IS NOT NULL AND ${live} GROUP BY 1
       UNION ALL
       SELECT split_part(sealed, '.', 1), 0, 0, NULL, count(*), 0, 0, 0 FROM webhook_secrets GROUP BY 1
       UNION ALL
       SELECT split_part(sealed, '.', 1), 0, 0, NULL, count(*), 0, 0, 0 FROM identity_providers WHERE sealed IS NOT NULL GROUP BY 1
       UNION ALL
       SELECT split_part(sealed, '.', 1), 0, 0, NULL, count(*), 0, 0, 0 FROM provider_refresh_tokens GROUP BY 1
       UNION ALL
       SELECT key_version, 0, 0, NULL, 0, count(*), 0, 0 FROM operator_tokens GROUP BY key_version
       UNION ALL
       SELECT key_version, 0, 0, NULL, 0, count(*), 0, 0 FROM bounded_tokens
       WHERE expires_at IS NULL OR expires_at > $1 GROUP BY key_version
       UNION ALL
       SELECT split_part(sealed, '.', 1), 0, 0, NULL, 0, 0, count(*), 0 FROM signing_keys WHERE expires_at > $1 GROUP BY 1
     ) AS use GROUP BY version ORDER BY version`,
    [now],
  );
  return rows.map((row) => ({
    version: row.version,
    secrets: row.secrets,
    secretsThatEnd: row.ending,
    secretsEndAt: row.ends_at,
    sealedCopies: row.sealed,
    operatorTokens: row.operators,
    signingKeys: row.signing,
    endedSecrets: row.ended,
  }));
}

/** Lists the first owners that keep an old version in use, so that somebody can regenerate their secrets. */
export async function listHolders(
  database: Queryable,
  currentVersion: string,
  limit: number,
): Promise<{ type: string; id: string; name: string; version: string }[]> {
  return await database.query(
    `SELECT CASE WHEN s.client IS NULL THEN 'access_key' ELSE 'client' END AS type,
       coalesce(s.client_id, s.access_key::text) AS id, coalesce(c.name, k.name) AS name, s.key_version AS version
     FROM secrets s LEFT JOIN clients c ON c.id = s.client LEFT JOIN access_keys k ON k.id = s.access_key
     WHERE s.key_version NOT IN ('', $1) AND s.ended_as IS NULL AND s.retires_at IS NULL
     UNION ALL
     SELECT 'operator_token', o.contact::text, p.name, o.key_version
     FROM operator_tokens o JOIN contacts p ON p.id = o.contact WHERE o.key_version <> $1
     UNION ALL
     SELECT 'operator_token', id::text, name, key_version FROM bounded_tokens
     WHERE key_version <> $1 AND (expires_at IS NULL OR expires_at > now())
     ORDER BY type, id LIMIT $2`,
    [currentVersion, limit],
  );
}

const live = 'ended_as IS NULL AND (retires_at IS NULL OR retires_at > $1)';
