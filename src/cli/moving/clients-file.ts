import { z } from 'zod';
import type { ForeignClient, RefusedClient } from '../../clients/foreign-client.ts';
import { momentProblem, readMoment } from '../../text/read-text.ts';

/** Clients in a file before their members are read. */
export type FileContent = {
  clients: { place: string; value: unknown }[];
  refused: { place: string; reasons: string[] }[];
  warnings: string[];
};

/** Client that was read, or the reasons why it cannot be read. */
export type ReadClient = { row: Omit<ForeignClient, 'place'>; isMoved: boolean } | { reasons: string[] };

export type ForeignClients = {
  rows: ForeignClient[];
  refused: RefusedClient[];
  /** Clients that do not use the client credentials grant. */
  skipped: { place: string; clientId: string }[];
  warnings: string[];
};

/** Types of members in exports of other servers. No error message contains a value. */

/** List of texts, or one text with spaces or commas between them. */
export const words = z.union([
  z.string().transform((text) => text.split(/[\s,]+/).filter(Boolean)),
  z.array(z.string()),
]);

/** Boolean, including the forms that spreadsheets write. */
export const flag = z.union([z.boolean(), z.string(), z.number()]).transform((value, context) => {
  const text = String(value).trim().toLowerCase();
  if (['true', 'yes', '1'].includes(text)) return true;
  if (['false', 'no', '0'].includes(text)) return false;
  context.addIssue({ code: 'custom', message: 'must be true or false' });
  return z.NEVER;
});

/** Time in seconds since 1970, where 0 means never (RFC 7591 §3.2.1), or in the form of RFC 3339. */
export const expiry = z.union([z.number(), z.string()]).transform((value, context) => {
  const seconds = Number(value);
  if (seconds === 0) return undefined;
  const at = Number.isFinite(seconds) ? new Date(seconds * 1_000) : readMoment(String(value));
  if (at && !Number.isNaN(at.getTime())) return at;
  context.addIssue({ code: 'custom', message: momentProblem });
  return z.NEVER;
});

/** JWK set, either as an object or as a JSON text. Hydra writes `{}` for a client without one. */
export const jwks = z.union([z.string(), z.looseObject({})]).transform((value, context) => {
  const json = typeof value === 'string' ? parseJson(value) : value;
  if (json !== undefined && Object.keys(json).length === 0) return undefined;
  const set = jwkSet.safeParse(json);
  if (set.success) return set.data;
  context.addIssue({ code: 'custom', message: 'must be a JWK set with keys (RFC 7517)' });
  return z.NEVER;
});

const jwkSet = z.object({ keys: z.array(z.record(z.string(), z.unknown())) });

/** Scopes of OpenID Connect and of Keycloak itself. They describe a person and grant no access to an API. */
const withoutMeaning = new Set(
  'openid offline offline_access profile email address phone roles web-origins acr basic microprofile-jwt service_account organization'.split(
    ' ',
  ),
);

export function meaningfulScopes(scopes: readonly string[]): string[] {
  return [...new Set(scopes)].filter((one) => one !== '' && !withoutMeaning.has(one));
}

/** Validates members with a schema; null counts as not given. @returns every reason why they cannot be read. */
export function readMembers<Schema extends z.ZodType>(
  schema: Schema,
  members: object,
): { data: z.output<Schema> } | { reasons: string[] } {
  const given = Object.fromEntries(Object.entries(members).filter(([, value]) => value !== null));
  const result = schema.safeParse(given);
  if (result.success) return { data: result.data };
  return { reasons: result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) };
}

function parseJson(text: string): object | undefined {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === 'object' && json !== null ? json : undefined;
  } catch {
    return undefined;
  }
}
