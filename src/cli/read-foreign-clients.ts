import { parse } from 'csv-parse/sync';
import { z } from 'zod';
import type { ForeignClient } from '../clients/import-clients.ts';
import { CommandEnd } from './terminal.ts';

export type ForeignClients = {
  rows: ForeignClient[];
  /** What does not use the client-credentials grant: nothing to move. */
  skipped: { place: string; clientId: string }[];
};

const columns = ['client_id', 'client_secret', 'name', 'scope', 'enabled'] as const;

const scopeList = z.union([z.string().transform((text) => text.split(/[\s,]+/)), z.array(z.string())]);
const jwks = z.object({ keys: z.array(z.record(z.string(), z.unknown())) });

/** RFC 7591's words, which Hydra and Auth0 use too; what else stands there is theirs. */
const registered = z.object({
  client_id: z.string(),
  client_secret: z.string().optional(),
  client_name: z.string().optional(),
  name: z.string().optional(),
  enabled: z.union([z.boolean(), z.enum(['true', 'false'])]).optional(),
  scope: scopeList.optional(),
  grant_types: z.array(z.string()).nullish(),
  token_endpoint_auth_method: z.string().nullish(),
  jwks: jwks.nullish(),
  jwks_uri: z.string().nullish(),
});

const keycloak = z.object({
  clientId: z.string(),
  name: z.string().optional(),
  enabled: z.boolean().optional(),
  secret: z.string().optional(),
  serviceAccountsEnabled: z.boolean().optional(),
  clientAuthenticatorType: z.string().optional(),
  defaultClientScopes: z.array(z.string()).optional(),
  optionalClientScopes: z.array(z.string()).optional(),
  attributes: z.record(z.string(), z.unknown()).optional(),
});

/** OpenID Connect's scopes and Keycloak's own: they say what stands in a token about a person, and open no API. */
const withoutMeaning = new Set(
  'openid offline offline_access profile email address phone roles web-origins acr basic microprofile-jwt service_account organization'.split(
    ' ',
  ),
);

/**
 * Reads the clients of another server: CSV with a heading, or JSON in RFC 7591's words (Hydra, Auth0), or a Keycloak realm.
 * @throws {CommandEnd} that says where the file is not what it should be.
 */
export function readForeignClients(text: string): ForeignClients {
  const content = text.replace(/^\uFEFF/, '');
  const read = /^\s*[[{]/.test(content) ? readJson(content) : readCsv(content);
  const result: ForeignClients = { rows: [], skipped: [] };
  for (const { place, value } of read) {
    const client = isKeycloak(value) ? fromKeycloak(place, value) : fromRegistration(place, value);
    if (client.uses) result.rows.push(client.row);
    else result.skipped.push({ place, clientId: client.row.clientId });
  }
  return result;
}

type Placed = { place: string; value: unknown };
type Read = { row: ForeignClient; uses: boolean };

function readCsv(text: string): Placed[] {
  try {
    const read = parse(text, { columns: true, info: true, skip_empty_lines: true, trim: true }) as unknown as {
      record: Record<string, string>;
      info: { lines: number };
    }[];
    for (const name of Object.keys(read[0]?.record ?? {})) {
      if (!(columns as readonly string[]).includes(name)) {
        throw new Error(`unknown column ${JSON.stringify(name)}; there are ${columns.join(', ')}`);
      }
    }
    return read.map(({ record, info }) => {
      const given = Object.entries(record).filter(([, value]) => value !== '');
      return { place: `line ${info.lines}`, value: Object.fromEntries(given) };
    });
  } catch (error) {
    throw new CommandEnd(2, `error: The CSV cannot be read: ${(error as Error).message}`);
  }
}

function readJson(text: string): Placed[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new CommandEnd(
      2,
      `error: The JSON cannot be read: ${(error as Error).message.replace(/".*"/s, 'a part of it')}`,
    );
  }
  const lists = (Array.isArray(json) && json.some(hasClients) ? json : [json]).map(listOf);
  return lists.flat().map((value, index) => ({ place: `client ${index + 1}`, value }));
}

/** An answer of Hydra's or Auth0's API, a realm, or one client alone. */
function listOf(json: unknown): unknown[] {
  if (Array.isArray(json)) return json;
  const { clients, items, data } = json as { clients?: unknown; items?: unknown; data?: unknown };
  const list = [clients, items, data].find(Array.isArray);
  return list ?? [json];
}

function hasClients(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'clients' in value;
}

function isKeycloak(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'clientId' in value;
}

function fromRegistration(place: string, value: unknown): Read {
  const client = check(registered, place, value);
  const grants = client.grant_types;
  return {
    uses: !grants || grants.includes('client_credentials'),
    row: {
      place,
      clientId: client.client_id,
      clientSecret: client.client_secret || undefined,
      name: client.client_name || client.name || client.client_id,
      enabled: client.enabled === undefined || String(client.enabled) === 'true',
      scope: meaningful(client.scope ?? []),
      authMethod: client.token_endpoint_auth_method ?? 'client_secret_basic',
      jwks: client.jwks ?? undefined,
      jwksUri: client.jwks_uri || undefined,
    },
  };
}

function fromKeycloak(place: string, value: unknown): Read {
  const client = check(keycloak, place, value);
  const { attributes = {}, clientAuthenticatorType: type = 'client-secret' } = client;
  const methods: Record<string, string> = { 'client-secret': 'client_secret_basic', 'client-jwt': 'private_key_jwt' };
  const keys = attributes['jwks.string'];
  return {
    uses: client.serviceAccountsEnabled === true,
    row: {
      place,
      clientId: client.clientId,
      clientSecret: client.secret || undefined,
      name: client.name || client.clientId,
      enabled: client.enabled ?? true,
      scope: meaningful([...(client.defaultClientScopes ?? []), ...(client.optionalClientScopes ?? [])]),
      authMethod: methods[type] ?? type,
      jwks: typeof keys === 'string' && keys ? check(jwks, place, parseJson(keys)) : undefined,
      jwksUri: attributes['use.jwks.url'] === 'true' ? String(attributes['jwks.url']) : undefined,
    },
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function meaningful(scope: readonly string[]): string[] {
  return [...new Set(scope)].filter((one) => one !== '' && !withoutMeaning.has(one));
}

function check<Schema extends z.ZodType>(schema: Schema, place: string, value: unknown): z.output<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new CommandEnd(2, `error: ${place}: ${issue?.path.join('.')}: ${issue?.message}`);
}
