import { z } from 'zod';
import type { ForeignClient, RefusedClient } from '../../clients/foreign-client.ts';
import { issueText } from '../../text/issue-text.ts';
import { momentProblem, readMoment } from '../../text/read-text.ts';

/** Information about clients from other parts of their file. */
export type Surroundings = {
  /** The client grants of Auth0, by Client ID or name of the client. */
  grants: ReadonlyMap<string, readonly { audience: string; scope: readonly string[] }[]>;
};

/** Client in a file before its members are read, or the reasons why there are none to read. */
export type FoundClient =
  | {
      place: string;
      /** Members of the file that lead to the client, such as `identityproviders.oidc.clients`. */
      list: string;
      value: unknown;
      surroundings: Surroundings;
    }
  | { place: string; reasons: string[] };

/** Clients in a file. @property clients reads them; can be called again. @property warnings complete after a reading. */
export type FileContent = { clients(): Iterable<FoundClient>; warnings: string[] };

/** Client that was read, or the reasons why it cannot be read. */
export type ReadClient =
  | { row: Omit<ForeignClient, 'place'>; isMoved: boolean }
  | { reasons: string[] }
  /** A client that does not use the client credentials grant and has no more to be read. */
  | { skipped: string };

/** A client of a file after it was read. */
export type ReadRow =
  | { kind: 'row'; row: ForeignClient }
  | { kind: 'refused'; refused: RefusedClient }
  /** It does not use the client credentials grant. */
  | { kind: 'skipped'; place: string; clientId: string };

/** A file of clients of another server. @property rows reads it; can be called again. */
export type ForeignClients = { rows(): Iterable<ReadRow>; warnings: readonly string[] };

/** Types of members in exports of other servers. No error message contains a value. */

/** List of texts, also as JSON in a text, or one text with spaces or commas between them. */
export const words = z.union([
  z.string().transform((text) => readWords(text) ?? text.split(/[\s,]+/).filter(Boolean)),
  z.array(z.string()),
]);

function readWords(text: string): string[] | undefined {
  if (!text.startsWith('[')) return undefined;
  const list = z.array(z.string()).safeParse(parseJson(text));
  return list.success ? list.data : undefined;
}

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

/** Returns a name without case and punctuation, so that `clientId`, `ClientID` and `client-id` match `client_id`. */
export function lettersOf(name: string): string {
  let letters = lettersByName.get(name);
  if (letters === undefined) {
    letters = name.toLowerCase().replace(/[^a-z0-9]/g, '');
    if (lettersByName.size < maxNames) lettersByName.set(name, letters);
  }
  return letters;
}

/** The members of clients have the same names again and again. */
const lettersByName = new Map<string, string>();
const maxNames = 1_000;

/** Validates members with a schema; null counts as not given. @returns every reason why they cannot be read. */
export function readMembers<Schema extends z.ZodType>(
  schema: Schema,
  members: object,
): { data: z.output<Schema> } | { reasons: string[] } {
  const given = Object.fromEntries(Object.entries(members).filter(([, value]) => value !== null));
  const result = schema.safeParse(given, { error: issueText });
  if (result.success) return { data: result.data };
  return { reasons: result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) };
}

/** Returns the object or list of a JSON text, or undefined if it is none. */
export function parseJson(text: string): object | undefined {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === 'object' && json !== null ? json : undefined;
  } catch {
    return undefined;
  }
}
