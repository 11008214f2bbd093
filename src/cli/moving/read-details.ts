import { z } from 'zod';
import { tokenLifetimes } from '../../clients/client-details.ts';
import type { Claims } from '../../clients/custom-claims.ts';
import type { GivenDetails } from '../../clients/given-details.ts';
import type { Dialect } from '../../configuration/dialects.ts';
import { type NetworkMode, networkModes } from '../../http/allowed-networks.ts';
import { flag, parseJson, words } from './clients-file.ts';
import { isMembers, listOf, type Members, take } from './members.ts';

/** Notes, token lifetimes, default scopes and claims of clients in files of other servers and of Keyturn. */

/** Members that are read, with the names of RFC 7591, Hydra, Auth0 and Keyturn's export and admin API. */
export const detailMembers = {
  description: z.unknown().optional(),
  labels: z.unknown().optional(),
  metadata: z.unknown().optional(),
  client_metadata: z.unknown().optional(),
  contacts: z.unknown().optional(),
  claims: z.unknown().optional(),
  owner: z.unknown().optional(),
  owner_contact_id: z.unknown().optional(),
  access_token_ttl: z.unknown().optional(),
  default_scope: words.optional(),
  dialects: words.optional(),
  client_credentials_grant_access_token_lifespan: z.unknown().optional(),
  access_token_lifetime: z.unknown().optional(),
  self_rotation: flag.optional(),
  allowed_networks: words.optional(),
  network_mode: z.enum(networkModes).or(z.literal('')).optional(),
};

export type ReadDetails = {
  details: GivenDetails;
  /** Names of the owner in the file, the most specific one first. */
  owners: string[];
  unmet: string[];
  notes: string[];
};

/** Reads the details of a client. Members of another form than Keyturn's are reported as notes, because no token depends on them. */
export function readDetails(client: { [name in keyof typeof detailMembers]?: unknown }): ReadDetails {
  const notes: string[] = [];
  const of = <Value>(member: keyof typeof detailMembers, read: (given: unknown) => Value | undefined) => {
    const given = client[member];
    if (given === undefined || given === '') return undefined;
    const value = read(given);
    if (value === undefined) notes.push(`its \`${member}\` has another form than here and is not imported`);
    return value;
  };
  const metadata = of('metadata', readMembersOf);
  const lifetime = lifetimeOf(client);
  const scope = client.default_scope as string[] | undefined;
  return {
    details: {
      description: of('description', readText),
      labels: of('labels', readLabels),
      metadata: metadata && Object.keys(metadata).length > 0 ? metadata : of('client_metadata', readMembersOf),
      contacts: of('contacts', readTexts),
      claims: of('claims', readMembersOf) as Claims | undefined,
      tokenTtlSeconds: lifetime.seconds,
      selfRotation: client.self_rotation as boolean | undefined,
      allowedNetworks: (client.allowed_networks as string[] | undefined) || undefined,
      networkMode: (client.network_mode || undefined) as NetworkMode | undefined,
      // A field of CSV cannot say that the list is empty.
      defaultScope: scope?.filter((one) => one !== '[]').join(' '),
      // An unknown name is rejected with the other details.
      dialects: client.dialects as Dialect[] | undefined,
    },
    owners: [client.owner_contact_id, client.owner].flatMap((name) => (typeof name === 'string' && name ? [name] : [])),
    unmet: lifetime.unmet,
    notes: [...notes, ...lifetime.notes],
  };
}

/** Reads a token lifetime. A shorter one than the shortest here is a security requirement. */
function lifetimeOf(client: { [name in keyof typeof detailMembers]?: unknown }) {
  const own = client.access_token_ttl;
  const given =
    own === undefined || own === ''
      ? (client.client_credentials_grant_access_token_lifespan ?? client.access_token_lifetime)
      : own;
  if (given === undefined || given === null || given === '') return { seconds: undefined, unmet: [], notes: [] };
  const seconds = readSeconds(given);
  if (seconds === undefined) {
    const note = 'its token lifetime cannot be read and is not imported; set it with --access-token-ttl';
    return { seconds, unmet: [], notes: [note] };
  }
  const { min, max } = tokenLifetimes;
  const asked = `its tokens live for ${seconds} s`;
  if (seconds < min)
    return { seconds: undefined, unmet: [`${asked}; the shortest lifetime here is ${min} s`], notes: [] };
  if (seconds > max)
    return { seconds: max, unmet: [], notes: [`${asked} elsewhere; here for ${max} s, the longest lifetime`] };
  return { seconds, unmet: [], notes: [] };
}

const units: Readonly<Record<string, number>> = { d: 86_400, h: 3_600, m: 60, s: 1 };

/** Reads a number of seconds, or a duration in the form of Go, such as `1h30m0s`. */
function readSeconds(given: unknown): number | undefined {
  const text = String(given).trim();
  if (/^\d{1,9}$/.test(text)) return Number(text);
  if (!/^(?:\d{1,6}[dhms])+$/.test(text)) return undefined;
  return [...text.matchAll(/(\d+)([dhms])/g)].reduce(
    (sum, [, count = '0', unit = 's']) => sum + Number(count) * (units[unit] ?? 0),
    0,
  );
}

function readText(given: unknown): string | undefined {
  return typeof given === 'string' ? given : undefined;
}

function readMembersOf(given: unknown): Members | undefined {
  const members = typeof given === 'string' ? parseJson(given) : given;
  return isMembers(members) ? members : undefined;
}

function readLabels(given: unknown): Record<string, string> | undefined {
  const members = readMembersOf(given);
  const isText = members && Object.values(members).every((value) => typeof value === 'string');
  return isText ? (members as Record<string, string>) : undefined;
}

function readTexts(given: unknown): string[] | undefined {
  const list = typeof given === 'string' && !given.startsWith('[') ? [given] : given;
  const texts = typeof list === 'string' ? parseJson(list) : list;
  return Array.isArray(texts) && texts.every((one) => typeof one === 'string') ? texts : undefined;
}

/** Returns the claims of a client of IdentityServer. It adds a prefix to their names in tokens. */
export function claimsOfIdentityServer(given: unknown, prefix: unknown): Claims {
  const before = typeof prefix === 'string' ? prefix : 'client_';
  const values = new Map<string, (string | number | boolean)[]>();
  for (const one of listOf(given).filter(isMembers)) {
    const { type, value, valuetype: kind } = take(one, 'type', 'value', 'valuetype');
    if (typeof type !== 'string' || typeof value !== 'string') continue;
    const name = `${before}${type}`;
    values.set(name, [...(values.get(name) ?? []), toTyped(value, String(kind ?? 'string'))]);
  }
  return Object.fromEntries(
    [...values].map(([name, list]) => [name, list.length === 1 ? list[0] : list.map(String)]),
  ) as Claims;
}

/**
 * Returns the claims that Keycloak's mappers for fixed values add to access tokens, and whether there are mappers of
 * another kind or with a nested name.
 */
export function claimsOfKeycloak(mappers: readonly Members[]): { claims: Claims; hasOthers: boolean } {
  const claims: Record<string, string | number | boolean> = {};
  let hasOthers = false;
  for (const mapper of mappers) {
    const config = isMembers(mapper['config']) ? mapper['config'] : {};
    const name = config['claim.name'];
    const value = config['claim.value'];
    const kind = String(config['jsonType.label'] ?? 'String').toLowerCase();
    const isFixed = mapper['protocolMapper'] === 'oidc-hardcoded-claim-mapper' && kind !== 'json';
    if (config['access.token.claim'] === 'false') continue;
    // A dot without a backslash begins a nested object.
    if (!isFixed || typeof name !== 'string' || typeof value !== 'string' || /(?<!\\)\./.test(name)) hasOthers = true;
    else claims[name.replaceAll('\\.', '.')] = toTyped(value, kind);
  }
  return { claims, hasOthers };
}

/** Converts the text of a claim to its type, which is named as in XML Schema or Keycloak. */
function toTyped(value: string, kind: string): string | number | boolean {
  if (/(?:boolean)$/i.test(kind)) return value.toLowerCase() === 'true';
  if (/(?:int|integer|integer32|integer64|long|double|float)$/i.test(kind) && Number.isFinite(Number(value))) {
    return Number(value);
  }
  return value;
}
