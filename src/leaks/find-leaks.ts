import { findKnownAccessKey } from '../access-keys/access-key-store.ts';
import { findClientById, hasForeignClientIds } from '../clients/client-store.ts';
import type { Contact } from '../contacts/contact.ts';
import { findContactByOperatorToken } from '../contacts/contact-store.ts';
import { hintOf, isWellFormedSecret } from '../credentials/credential-format.ts';
import { isForeignSecret } from '../credentials/foreign-credential.ts';
import type { KeyRing } from '../credentials/key-ring.ts';
import { isLive, type Secret } from '../credentials/secret.ts';
import { verifiersOf } from '../credentials/verifier.ts';
import { findPresentedToken } from '../operator-tokens/bounded-token-store.ts';
import { findSecretOwner, findSecrets, findTakenVerifiers, type OwnerRef } from '../secrets/secret-store.ts';
import type { Queryable } from '../storage/database.ts';
import { findLiveToken, findToken, readToken } from '../tokens/examine-access-token.ts';
import type { TokenRecord } from '../tokens/token-record.ts';
import type { TokenDeps } from '../tokens/token-rules.ts';

/** Value in a text that has the form of a credential. Contains a hint, never the value itself. */
export type Leak = {
  /** Index of the text that contains the value, from 0. */
  text: number;
  hint: string;
} & (
  | { kind: 'client_secret' | 'access_key'; found: { owner: OwnerRef; secret: Secret; shown: LeakOwner } | undefined }
  | { kind: 'access_token'; found: { record: TokenRecord; isLive: boolean; shown: LeakOwner } | undefined }
  | { kind: 'operator_token'; found: { contact: Pick<Contact, 'id'>; bounded?: string; shown: LeakOwner } | undefined }
);

/** Owner of a credential, with the id and the name that operators see. */
type LeakOwner = { type: 'client' | 'access_key' | 'contact'; id: string; name: string };

type LeakDeps = TokenDeps & { database: Queryable; keyRing: KeyRing };

/** Number of values that are hashed and looked up at once, so that other requests are processed in between. */
const batchSize = 500;

/**
 * Searches texts for secrets, access keys and tokens of this deployment, including imported secrets and JWTs. Reports
 * each value once per text. Changes nothing.
 */
export async function findLeaks(deps: LeakDeps, texts: readonly string[]): Promise<Leak[]> {
  const mayBeForeign = await hasForeignClientIds(deps.database);
  const leaks: Leak[] = [];
  for (const [text, content] of texts.entries()) {
    const { own, jwts, foreign } = leakCandidates(content);
    for (const value of own) {
      const leak = await identify(deps, value, text);
      if (leak) leaks.push(leak);
    }
    for (const value of jwts) {
      const found = await findJwt(deps, value);
      if (found) leaks.push({ text, hint: hintOf(value), kind: 'access_token', found });
    }
    if (mayBeForeign) leaks.push(...(await findForeign(deps, [...foreign], text)));
  }
  return leaks;
}

/** Finds a JWT that this deployment has signed. Returns undefined for any other JWT. */
async function findJwt(deps: LeakDeps, value: string) {
  return await describeToken(deps, value, await readToken(deps, value));
}

async function describeToken(deps: LeakDeps, value: string, record: TokenRecord | undefined) {
  const shown = record && (await describeHolder(deps, record));
  return record && shown && { record, isLive: (await findLiveToken(deps, value)) !== undefined, shown };
}

/** Returns the client that a token was issued to, or the stand-alone access key that it was exchanged for. */
async function describeHolder(deps: LeakDeps, { clientId, accessKey }: TokenRecord): Promise<LeakOwner | undefined> {
  if (clientId === undefined) return accessKey && (await describeOwner(deps, { kind: 'access_key', id: accessKey.id }));
  const known = await deps.clients.find(clientId);
  return known && { type: 'client', id: known.client.clientId, name: known.client.name };
}

/** Finds imported secrets. They have no form of their own, so every value that could be one is looked up. */
async function findForeign(deps: LeakDeps, values: readonly string[], text: number): Promise<Leak[]> {
  const leaks: Leak[] = [];
  const possible = values.filter(isForeignSecret);
  for (let start = 0; start < possible.length; start += batchSize) {
    const byVerifier = new Map<string, string>();
    for (const value of possible.slice(start, start + batchSize)) {
      for (const verifier of verifiersOf(deps.keyRing, 'client-secret-pepper', value)) {
        byVerifier.set(verifier.toString('base64'), value);
      }
    }
    const verifiers = [...byVerifier.keys()].map((verifier) => Buffer.from(verifier, 'base64'));
    for (const verifier of await findTakenVerifiers(deps.database, verifiers)) {
      const value = byVerifier.get(verifier) ?? '';
      const found = await findSecret(deps, value, 'client-secret-pepper');
      if (found) leaks.push({ text, hint: hintOf(value), kind: 'client_secret', found });
    }
  }
  return leaks;
}

/** Returns whether the credential is still accepted, or would be if its owner were enabled. */
export function isLeakLive(leak: Leak, now: number): boolean {
  if (!leak.found) return false;
  if (leak.kind === 'operator_token') return true;
  return leak.kind === 'access_token' ? leak.found.isLive : isLive(leak.found.secret, now);
}

async function identify(deps: LeakDeps, value: string, text: number): Promise<Leak | undefined> {
  const place = { text, hint: hintOf(value) };
  if (isWellFormedSecret(value, 'kts_')) {
    return { ...place, kind: 'client_secret', found: await findSecret(deps, value, 'client-secret-pepper') };
  }
  if (isWellFormedSecret(value, 'ktk_')) {
    return { ...place, kind: 'access_key', found: await findSecret(deps, value, 'access-key-pepper') };
  }
  if (isWellFormedSecret(value, 'kta_')) {
    return { ...place, kind: 'access_token', found: await findAccessToken(deps, value) };
  }
  if (isWellFormedSecret(value, 'kto_')) {
    const verifiers = verifiersOf(deps.keyRing, 'operator-token-pepper', value);
    const contact = await findContactByOperatorToken(deps.database, verifiers);
    if (contact) {
      const shown = { type: 'contact', id: contact.id, name: contact.name } as const;
      return { ...place, kind: 'operator_token', found: { contact, shown } };
    }
    const token = await findPresentedToken(deps.database, verifiers, new Date(deps.clock()));
    const shown = token && ({ type: 'contact', id: token.contactId, name: token.contactName } as const);
    const found = token && shown && { contact: { id: token.contactId }, bounded: token.id, shown };
    return { ...place, kind: 'operator_token', found };
  }
  return undefined;
}

async function findSecret(deps: LeakDeps, value: string, pepper: 'client-secret-pepper' | 'access-key-pepper') {
  const found = await findSecretOwner(deps.database, verifiersOf(deps.keyRing, pepper, value));
  if (!found) return undefined;
  const { owner, secretId } = found;
  const secret = (await findSecrets(deps.database, owner)).find(({ id }) => id === secretId);
  const shown = await describeOwner(deps, owner);
  return secret && shown && { owner, secret, shown };
}

async function describeOwner({ database }: LeakDeps, owner: OwnerRef): Promise<LeakOwner | undefined> {
  if (owner.kind === 'access_key') {
    const known = await findKnownAccessKey(database, owner.id);
    return known && { type: 'access_key', id: owner.id, name: known.key.name };
  }
  const client = await findClientById(database, owner.id);
  return client && { type: 'client', id: client.clientId, name: client.name };
}

async function findAccessToken(deps: LeakDeps, value: string) {
  return await describeToken(deps, value, await findToken(deps, value));
}

type LeakCandidates = {
  /** Values in the form of a secret, key or token that Keyturn generates. */
  own: ReadonlySet<string>;
  /** Values in the form of a JWT of any issuer. */
  jwts: ReadonlySet<string>;
  /**
   * Values that could be an imported secret: 16 to 256 printable characters between characters that often surround a
   * value.
   */
  foreign: ReadonlySet<string>;
};

/**
 * Matches any credential that Keyturn generates, anywhere in a text. Base62 and a fixed length alone would match many
 * other texts; checking the checksum at the end leaves one false match in four billion.
 */
const leakPattern = /kt[skao]_[0-9A-Za-z]{49}/g;

const jwtPattern = /eyJ[\w-]{8,2000}\.eyJ[\w-]{8,6000}\.[\w-]{16,1000}/g;
const basicPattern = /\bbasic[\s:=]+([A-Za-z0-9+/_-]{8,1024}={0,2})/gi;
const surrounding = /[\s"'`=:,;&<>()[\]{}|]/;
/** Maximum number of parts of one imported secret, which are separated by surrounding characters. */
const partsOfOne = 4;

/**
 * Finds possible credentials in a text, including percent-encoded ones (`%5F`) and those inside HTTP Basic, whose two
 * parts are form-encoded themselves (RFC 6749 §2.3.1).
 */
function leakCandidates(text: string): LeakCandidates {
  const own = new Set<string>();
  const jwts = new Set<string>();
  const foreign = new Set<string>();
  for (const reading of readingsOf(text)) {
    for (const [value] of reading.matchAll(leakPattern)) own.add(value);
    for (const [value] of reading.matchAll(jwtPattern)) jwts.add(value);
    for (const value of partsOf(reading)) foreign.add(value);
  }
  return { own, jwts, foreign };
}

/** Returns the text and its decoded forms. */
function readingsOf(text: string): string[] {
  const plain = [text, percentDecode(text), percentDecode(percentDecode(text))];
  const basic = plain.flatMap((each) =>
    [...each.matchAll(basicPattern)].map(([, value = '']) => Buffer.from(value, 'base64').toString('utf8')),
  );
  return [...new Set([...plain, ...basic, ...basic.map(percentDecode)])];
}

/** Decodes valid percent-encoded characters and leaves the rest unchanged. */
function percentDecode(text: string): string {
  return text.replace(/(?:%[0-9A-Fa-f]{2})+/g, (encoded) => {
    try {
      return decodeURIComponent(encoded);
    } catch {
      return encoded;
    }
  });
}

function* partsOf(text: string): Generator<string> {
  const bounds = [-1];
  for (let at = 0; at < text.length; at++) if (surrounding.test(text[at] ?? '')) bounds.push(at);
  bounds.push(text.length);
  for (let start = 0; start < bounds.length - 1; start++) {
    const from = (bounds[start] ?? 0) + 1;
    for (let end = start + 1; end <= start + partsOfOne && end < bounds.length; end++) {
      const part = text.slice(from, bounds[end]);
      if (part.length > 256 || /\s/.test(part)) break;
      if (part.length >= 16) yield part;
    }
  }
}
