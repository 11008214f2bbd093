import { findKnownAccessKey } from '../access-keys/access-key-store.ts';
import { findClientById, hasForeignClientIds } from '../clients/client-store.ts';
import type { Contact } from '../contacts/contact.ts';
import { findContactByOperatorToken } from '../contacts/contact-store.ts';
import type { Core } from '../core.ts';
import { hintOf, isWellFormedSecret } from '../credentials/credential-format.ts';
import { isForeignSecret } from '../credentials/foreign-credential.ts';
import { isLive, type Secret } from '../credentials/secret.ts';
import { verifiersOf } from '../credentials/verifier.ts';
import type { OwnerRef } from '../secrets/secret-owner.ts';
import { findSecretOwner, findSecrets, findTakenVerifiers } from '../secrets/secret-store.ts';
import { findLiveToken, findToken, readToken } from '../tokens/examine-access-token.ts';
import type { TokenRecord } from '../tokens/token-store.ts';
import { leakCandidates } from './leak-candidates.ts';

/** Value in a text that has the form of a credential. Contains a hint, never the value itself. */
export type Leak = {
  /** Index of the text that contains the value, from 0. */
  text: number;
  hint: string;
} & (
  | { kind: 'client_secret' | 'access_key'; found: { owner: OwnerRef; secret: Secret; shown: LeakOwner } | undefined }
  | { kind: 'access_token'; found: { record: TokenRecord; isLive: boolean; shown: LeakOwner } | undefined }
  | { kind: 'operator_token'; found: { contact: Contact; shown: LeakOwner } | undefined }
);

/** Owner of a credential, with the id and the name that operators see. */
type LeakOwner = { type: 'client' | 'access_key' | 'contact'; id: string; name: string };

/** Number of values that are hashed and looked up at once, so that other requests are processed in between. */
const batchSize = 500;

/**
 * Searches texts for secrets, access keys and tokens of this deployment, including imported secrets and JWTs. Reports
 * each value once per text. Changes nothing.
 */
export async function findLeaks(core: Core, texts: readonly string[]): Promise<Leak[]> {
  const mayBeForeign = await hasForeignClientIds(core.database);
  const leaks: Leak[] = [];
  for (const [text, content] of texts.entries()) {
    const { own, jwts, foreign } = leakCandidates(content);
    for (const value of own) {
      const leak = await identify(core, value, text);
      if (leak) leaks.push(leak);
    }
    for (const value of jwts) {
      const found = await findJwt(core, value);
      if (found) leaks.push({ text, hint: hintOf(value), kind: 'access_token', found });
    }
    if (mayBeForeign) leaks.push(...(await findForeign(core, [...foreign], text)));
  }
  return leaks;
}

/** Finds a JWT that this deployment has signed. Returns undefined for any other JWT. */
async function findJwt(core: Core, value: string) {
  const record = await readToken(core, value);
  const known = record && (await core.clients.find(record.clientId));
  if (!record || !known) return undefined;
  const { clientId: id, name } = known.client;
  const isLive = (await findLiveToken(core, value)) !== undefined;
  return { record, isLive, shown: { type: 'client', id, name } as const };
}

/** Finds imported secrets. They have no form of their own, so every value that could be one is looked up. */
async function findForeign(core: Core, values: readonly string[], text: number): Promise<Leak[]> {
  const leaks: Leak[] = [];
  const possible = values.filter(isForeignSecret);
  for (let start = 0; start < possible.length; start += batchSize) {
    const byVerifier = new Map<string, string>();
    for (const value of possible.slice(start, start + batchSize)) {
      for (const verifier of verifiersOf(core.keyRing, 'client-secret-pepper', value)) {
        byVerifier.set(verifier.toString('base64'), value);
      }
    }
    const verifiers = [...byVerifier.keys()].map((verifier) => Buffer.from(verifier, 'base64'));
    for (const verifier of await findTakenVerifiers(core.database, verifiers)) {
      const value = byVerifier.get(verifier) ?? '';
      const found = await findSecret(core, value, 'client-secret-pepper');
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

async function identify(core: Core, value: string, text: number): Promise<Leak | undefined> {
  const place = { text, hint: hintOf(value) };
  if (isWellFormedSecret(value, 'kts_')) {
    return { ...place, kind: 'client_secret', found: await findSecret(core, value, 'client-secret-pepper') };
  }
  if (isWellFormedSecret(value, 'ktk_')) {
    return { ...place, kind: 'access_key', found: await findSecret(core, value, 'access-key-pepper') };
  }
  if (isWellFormedSecret(value, 'kta_')) {
    return { ...place, kind: 'access_token', found: await findAccessToken(core, value) };
  }
  if (isWellFormedSecret(value, 'kto_')) {
    const verifiers = verifiersOf(core.keyRing, 'operator-token-pepper', value);
    const contact = await findContactByOperatorToken(core.database, verifiers);
    const shown = contact && ({ type: 'contact', id: contact.id, name: contact.name } as const);
    return { ...place, kind: 'operator_token', found: contact && shown && { contact, shown } };
  }
  return undefined;
}

async function findSecret(core: Core, value: string, pepper: 'client-secret-pepper' | 'access-key-pepper') {
  const found = await findSecretOwner(core.database, verifiersOf(core.keyRing, pepper, value));
  if (!found) return undefined;
  const { owner, secretId } = found;
  const secret = (await findSecrets(core.database, owner)).find(({ id }) => id === secretId);
  const shown = await describeOwner(core, owner);
  return secret && shown && { owner, secret, shown };
}

async function describeOwner({ database }: Core, owner: OwnerRef): Promise<LeakOwner | undefined> {
  if (owner.kind === 'access_key') {
    const known = await findKnownAccessKey(database, owner.id);
    return known && { type: 'access_key', id: owner.id, name: known.key.name };
  }
  const client = await findClientById(database, owner.id);
  return client && { type: 'client', id: client.clientId, name: client.name };
}

async function findAccessToken(core: Core, value: string) {
  const record = await findToken(core, value);
  const known = record && (await core.clients.find(record.clientId));
  if (!record || !known) return undefined;
  const { clientId: id, name } = known.client;
  return {
    record,
    isLive: (await findLiveToken(core, value)) !== undefined,
    shown: { type: 'client', id, name } as const,
  };
}
