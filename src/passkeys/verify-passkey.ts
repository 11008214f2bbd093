import { randomUUID } from 'node:crypto';
import type {
  AuthenticationResponseJSON,
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
  RegistrationResponseJSON,
} from '@simplewebauthn/server';
import { type Actor, appendAuditEvent } from '../audit/audit-log.ts';
import { findContact } from '../contacts/contact-store.ts';
import { InvalidInput, NotFound } from '../errors.ts';
import type { Clock } from '../process/clock.ts';
import type { Queryable, Transaction } from '../storage/database.ts';
import {
  deletePasskey,
  insertChallenge,
  insertPasskey,
  listPasskeys,
  lockPasskey,
  noteUse,
  type Passkey,
  takeChallenge,
} from './passkey-store.ts';

/** The site that a passkey is for: its host, and the origin that the browser reports (WebAuthn Level 3 §7). */
export type PasskeySite = { rpId: string; origin: string };

type Deps = { clock: Clock };

const answerMs = 300_000;

/** Loads the library at its first use: it takes 27 MB of memory, and most deployments have no passkeys. */
const loadWebauthn = () => import('@simplewebauthn/server');

/** Returns the site at a URL. */
export function passkeySite(url: string): PasskeySite {
  const { hostname, origin } = new URL(url);
  return { rpId: hostname, origin };
}

/** Returns the options with which a browser registers a passkey of a contact. */
export async function beginRegistration(
  database: Queryable,
  { clock }: Deps,
  { rpId }: PasskeySite,
  contactId: string,
): Promise<PublicKeyCredentialCreationOptionsJSON> {
  const contact = await findContact(database, contactId);
  if (!contact) throw new NotFound('contact');
  const known = await listPasskeys(database, contactId);
  const { generateRegistrationOptions } = await loadWebauthn();
  const options = await generateRegistrationOptions({
    rpName: 'Keyturn',
    rpID: rpId,
    userName: contact.email,
    userDisplayName: contact.name,
    userID: Buffer.from(contact.id),
    attestationType: 'none',
    timeout: answerMs,
    excludeCredentials: known.map(({ credentialId: id, transports }) => ({ id, transports })),
    // Discoverable, so that the person need not name themselves at the sign-in.
    authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
  });
  await insertChallenge(database, options.challenge, contactId, new Date(clock() + answerMs));
  return options;
}

/**
 * Registers a passkey of the acting contact.
 * @param response the answer of the browser, as JSON.
 * @throws {InvalidInput} if the answer is not valid for a challenge of this contact and this site.
 */
export async function finishRegistration(
  transaction: Transaction,
  { clock }: Deps,
  { rpId, origin }: PasskeySite,
  actor: Actor,
  { name, response }: { name: string; response: string },
): Promise<Passkey> {
  const at = new Date(clock());
  const { verifyRegistrationResponse } = await loadWebauthn();
  const verified = await unlessInvalid(async () =>
    verifyRegistrationResponse({
      response: JSON.parse(response) as RegistrationResponseJSON,
      expectedChallenge: (challenge) => takeChallenge(transaction, challenge, actor.id, at),
      expectedOrigin: origin,
      expectedRPID: rpId,
      requireUserVerification: true,
    }),
  );
  if (!verified?.verified) throw new InvalidInput('The passkey could not be verified. Try again.');
  const { id: credentialId, publicKey, counter, transports = [] } = verified.registrationInfo.credential;
  const passkey = { id: randomUUID(), contactId: actor.id, name, createdAt: at, lastUsedAt: null };
  const isNew = await insertPasskey(transaction, { ...passkey, credentialId, publicKey, counter, transports }, rpId);
  if (!isNew) throw new InvalidInput('This passkey is registered already.');
  await audit(transaction, actor, at, 'register_passkey', passkey);
  return passkey;
}

/**
 * Returns the options with which a browser uses a passkey.
 * @param contactId who has to prove their identity; null: anyone, who signs in.
 */
export async function beginProof(
  database: Queryable,
  { clock }: Deps,
  { rpId }: PasskeySite,
  contactId: string | null,
): Promise<PublicKeyCredentialRequestOptionsJSON> {
  const { generateAuthenticationOptions } = await loadWebauthn();
  const options = await generateAuthenticationOptions({ rpID: rpId, userVerification: 'required', timeout: answerMs });
  await insertChallenge(database, options.challenge, contactId, new Date(clock() + answerMs));
  return options;
}

/**
 * Checks the use of a passkey.
 * @param response the answer of the browser, as JSON.
 * @param contactId who has to prove their identity; null: anyone, who signs in.
 * @returns the contact, or undefined if the answer is not valid.
 */
export async function checkProof(
  transaction: Transaction,
  { clock }: Deps,
  { rpId, origin }: PasskeySite,
  response: string,
  contactId: string | null,
): Promise<string | undefined> {
  const at = new Date(clock());
  const { verifyAuthenticationResponse } = await loadWebauthn();
  return await unlessInvalid(async () => {
    const answer = JSON.parse(response) as AuthenticationResponseJSON;
    const passkey = await lockPasskey(transaction, String(answer.id), rpId);
    if (!passkey || (contactId !== null && passkey.contactId !== contactId)) return undefined;
    const { credentialId: id, publicKey, counter } = passkey;
    const { verified, authenticationInfo } = await verifyAuthenticationResponse({
      response: answer,
      expectedChallenge: (challenge) => takeChallenge(transaction, challenge, contactId, at),
      expectedOrigin: origin,
      expectedRPID: rpId,
      credential: { id, publicKey, counter: Number(counter) },
      requireUserVerification: true,
    });
    if (!verified) return undefined;
    await noteUse(transaction, id, authenticationInfo.newCounter, at);
    return passkey.contactId;
  });
}

/** Removes a passkey of a contact. @throws {NotFound} */
export async function removePasskey(
  transaction: Transaction,
  { clock }: Deps,
  actor: Actor,
  { contactId, id }: { contactId: string; id: string },
): Promise<void> {
  const at = new Date(clock());
  const removed = await deletePasskey(transaction, contactId, id, at);
  if (!removed) throw new NotFound('passkey');
  await audit(transaction, actor, at, 'remove_passkey', removed);
}

/** Returns undefined for what the library rejects. Errors of the database are thrown. */
async function unlessInvalid<T>(verify: () => Promise<T>): Promise<T | undefined> {
  try {
    return await verify();
  } catch (error) {
    const isRejection = error instanceof SyntaxError || error instanceof TypeError || error?.constructor === Error;
    if (isRejection) return undefined;
    throw error;
  }
}

async function audit(
  transaction: Transaction,
  actor: Actor,
  at: Date,
  verb: 'register_passkey' | 'remove_passkey',
  { id, contactId: target, name }: Passkey,
): Promise<void> {
  const action = `contact.${verb}`;
  await appendAuditEvent(transaction, {
    at,
    actor,
    action,
    targetType: 'contact',
    target,
    after: { passkey: id, name },
  });
}
