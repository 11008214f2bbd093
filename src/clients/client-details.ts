import { findUnstorableText, textProblem } from '../text/read-text.ts';

/** Keys and values that operators sort clients and access keys by. */
export type Labels = Readonly<Record<string, string>>;

/** Notes of operators about a client or an access key. They do not affect tokens. */
export type Notes = { description: string | null; labels: Labels };

/** Notes of operators about a client. They do not affect tokens, so the cache of requests omits them. */
export type ClientDetails = Notes & {
  /** The contact who is responsible for the client. */
  ownerContactId: string | null;
  /** JSON of the operator's own programs. */
  metadata: Readonly<Record<string, unknown>>;
  /** E-mail addresses or other contacts for questions about the client (RFC 7591 §2 `contacts`). */
  contacts: readonly string[];
};

export const noDetails: ClientDetails = {
  description: null,
  labels: {},
  ownerContactId: null,
  metadata: {},
  contacts: [],
};

/** Limits of details. Lengths are in UTF-16 code units, sizes in bytes of JSON. */
export const limits = {
  description: 2_000,
  labels: 32,
  labelKey: 63,
  labelValue: 200,
  metadataBytes: 16_384,
  contacts: 10,
  contact: 320,
} as const;

/** The limits of `access_token_ttl`, in seconds. */
export const tokenLifetimes = { min: 60, max: 86_400 } as const;

const labelKey = /^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$/;

/** Describes the form of a label's key, as the end of a sentence. */
export const labelKeyForm = 'must have 1 to 63 letters, digits and . _ / - and begin and end with a letter or digit';

export function isLabelKey(key: string): boolean {
  return labelKey.test(key);
}

/**
 * Returns why labels cannot be stored, as the end of a sentence that begins with the name of the field, or undefined if
 * they can. This and the functions below are the only check of details: the admin API, the console, the command line and
 * imports call them.
 */
export function labelsProblem(labels: Readonly<Record<string, string>>): string | undefined {
  const entries = Object.entries(labels);
  if (entries.length > limits.labels) return `must have at most ${limits.labels} labels`;
  for (const [key, value] of entries) {
    if (!isLabelKey(key)) return `each key ${labelKeyForm}`;
    const problem = value === '' ? undefined : textProblem(value, limits.labelValue);
    if (problem) return `the value of ${key} ${problem}`;
  }
  return undefined;
}

/** Returns why a JSON object cannot be stored as metadata. */
export function metadataProblem(metadata: Readonly<Record<string, unknown>>): string | undefined {
  if (findUnstorableText(metadata)) {
    return 'must not contain the character U+0000 or half of a surrogate pair, or be nested more than 32 levels deep';
  }
  let areFinite = true;
  const json = JSON.stringify(metadata, (_, value: unknown) => {
    areFinite &&= typeof value !== 'number' || Number.isFinite(value);
    return value;
  });
  if (!areFinite) return 'must not contain numbers beyond the range of a double';
  return Buffer.byteLength(json) > limits.metadataBytes ? 'must have at most 16 KiB as JSON' : undefined;
}

/** Returns why a text cannot be the description of a client or access key. It may have several lines. */
export function descriptionProblem(description: string): string | undefined {
  if (description.length > limits.description) return `must have at most ${limits.description} characters`;
  return textProblem(description.replace(/\r?\n|\t/g, ' '), limits.description);
}

/** Returns why a list cannot be the contacts of a client. */
export function contactsProblem(contacts: readonly string[]): string | undefined {
  if (contacts.length > limits.contacts) return `must have at most ${limits.contacts} items`;
  for (const contact of contacts) {
    const problem = textProblem(contact, limits.contact);
    if (problem) return `each item ${problem}`;
  }
  return undefined;
}

/** @property value undefined matches every value. */
export type LabelFilter = { key: string; value: string | undefined };

/** Returns the condition that a row has a label, in the form that the index on labels needs. */
export function hasLabel({ key, value }: LabelFilter, bind: (value: unknown) => string, labels = 'labels'): string {
  const matches = value === undefined ? `? ${bind(key)}` : `@> ${bind(JSON.stringify({ [key]: value }))}::jsonb`;
  return `${labels} <> '{}' AND ${labels} ${matches}`;
}
