import { type Actor, appendAuditEvent } from '../../../audit/audit-log.ts';
import type { ManageDeps } from '../../../clients/manage-clients.ts';
import { findContact, isShutOut } from '../../../contacts/contact-store.ts';
import { requireContact } from '../../../contacts/manage-contacts.ts';
import type { Core } from '../../../core.ts';
import { isWellFormedSecret } from '../../../credentials/credential-format.ts';
import { verifiersOf } from '../../../credentials/verifier.ts';
import { KeyturnError } from '../../../errors.ts';
import { acceptInvitation, findInvited } from '../../../invitations/invitation-store.ts';
import { checkProof, type PasskeySite } from '../../../passkeys/verify-passkey.ts';
import {
  digest,
  type FoundLink,
  findLink,
  insertLink,
  type PresentedLink,
  useLink,
} from '../../../sessions/link-store.ts';
import type { Queryable, Row, Transaction } from '../../../storage/database.ts';
import type { Site } from '../site.ts';
import { continuesSession, forgetSession, type Proved, renewSession, startSession, type Visitor } from './session.ts';

/**
 * Proof of identity: an operator token, the code of a sign-in link with the cookie of a browser that asked for it, or the use
 * of a passkey of a site.
 */
export type Proof = { token: string } | Pick<PresentedLink, 'code' | 'browser'> | { passkey: string; at: PasskeySite };

/**
 * Signs in with a new session, and ends the browser's previous one. A link to the portal that continues the same session
 * renews its proof of identity instead.
 * @returns the new cookie.
 * @throws {KeyturnError} 401 if the proof is not valid.
 */
export async function signIn(core: Core, proof: Proof, visitor: Visitor): Promise<string> {
  const { site, cookie, address } = visitor;
  return await core.change(async (transaction) => {
    const now = core.clock();
    const proved = await prove(transaction, core, proof, site);
    if (!proved) throw refusal(proof, site);
    if (site === 'console') await requireConsole(transaction, proved.contact);
    if (await continuesSession(transaction, proved, visitor, now)) {
      await auditSignIn(transaction, `${site}.prove`, proved, address, now);
      return await renewSession(transaction, proved, visitor, now);
    }
    if (cookie !== undefined) await forgetSession(transaction, site, cookie);
    await auditSignIn(transaction, `${site}.sign_in`, proved, address, now);
    return await startSession(transaction, core, proved, visitor);
  });
}

/**
 * Renews the proof of identity of a signed-in contact. It also moves a session to a newly issued operator token of its
 * contact: the caller has looked up the session before the previous token was revoked.
 * @returns the new cookie.
 * @throws {KeyturnError} 401 if it is not the operator token or a passkey of the contact.
 */
export async function proveAgain(core: Core, contact: string, proof: Proof, visitor: Visitor): Promise<string> {
  const now = core.clock();
  return await core.change(async (transaction) => {
    const proved = await prove(transaction, core, proof, visitor.site, contact);
    if (proved?.contact !== contact) throw refusal(proof, visitor.site);
    await auditSignIn(transaction, `${visitor.site}.prove`, proved, visitor.address, now);
    return await renewSession(transaction, proved, visitor, now);
  });
}

async function prove(
  transaction: Transaction,
  core: Core,
  proof: Proof,
  site: Site['name'],
  contact: string | null = null,
): Promise<Proved | undefined> {
  if ('passkey' in proof) return await usePasskey(transaction, core, proof, site, contact);
  if ('code' in proof) return await proveByLink(transaction, { ...proof, site }, core.clock());
  if (!isWellFormedSecret(proof.token, 'kto_')) return undefined;
  const rows = await transaction.query<Row & { contact: string; verifier: Uint8Array }>(
    `SELECT t.contact, t.verifier FROM operator_tokens t JOIN contacts c ON c.id = t.contact
     JOIN organizations o ON o.id = c.organization WHERE t.verifier = ANY ($1::bytea[]) AND o.enabled`,
    [verifiersOf(core.keyRing, 'operator-token-pepper', proof.token)],
  );
  const row = rows[0];
  // The session stores this verifier. If the token is replaced before the session starts, its first request is
  // rejected.
  return row && { contact: row.contact, operatorToken: row.verifier, method: 'operator_token' };
}

async function proveByLink(
  transaction: Transaction,
  presented: PresentedLink,
  now: number,
): Promise<Proved | undefined> {
  const used = await useLink(transaction, presented, now);
  if (!used) return await useInvitation(transaction, presented, now);
  const { contact, operatorToken, permissions, returnUrl } = used;
  const grant = presented.site === 'portal' ? { grant: { permissions, returnUrl } } : {};
  return { contact, operatorToken, method: 'link', ...grant };
}

/** @throws {KeyturnError} 403 for a contact that has no console. */
async function requireConsole(transaction: Transaction, contactId: string): Promise<void> {
  const rows = await transaction.query(`SELECT FROM contacts c WHERE c.id = $1 AND ${isShutOut}`, [contactId]);
  if (rows.length === 0) return;
  throw new KeyturnError('sign_in_refused', 403, 'You have no permissions here. Ask your administrator for them.');
}

function refusal(proof: Proof, site: Site['name']): KeyturnError {
  const message =
    'passkey' in proof
      ? 'This passkey could not be verified. It may have been removed. Use another way to sign in.'
      : site === 'portal'
        ? 'This link was already used, or it has expired. Open the page again where you found the link.'
        : 'code' in proof
          ? 'This link was already used, or it is older than ten minutes. Create a new link, or sign in with your operator token.'
          : 'This operator token is not valid. It may have been replaced or revoked.';
  return new KeyturnError('unauthenticated', 401, message);
}

/** Records a sign-in, or a renewed proof of identity. */
export async function auditSignIn(
  transaction: Transaction,
  action: `${Visitor['site']}.${'sign_in' | 'prove'}`,
  { contact, method, person }: Proved,
  address: string,
  at: number,
): Promise<void> {
  await appendAuditEvent(transaction, {
    at: new Date(at),
    actor: { id: contact, name: (await findContact(transaction, contact))?.name ?? '', address },
    action,
    targetType: 'contact',
    target: contact,
    after: { method, ...(person ? { provider: person.provider } : {}) },
  });
}

const lifetimeMs = 600_000;

/**
 * Creates a link that signs a contact in to the console once, within ten minutes. Only the command line may call this,
 * because its users have full access anyway.
 * @returns the path of the link.
 */
export async function issueConsoleLink(
  transaction: Transaction,
  deps: Pick<ManageDeps, 'clock'>,
  actor: Actor,
  contactId: string,
): Promise<string> {
  const now = deps.clock();
  await requireContact(transaction, contactId);
  const path = await insertLink(transaction, {
    site: 'console',
    contact: contactId,
    expiresAt: new Date(now + lifetimeMs),
  });
  await appendAuditEvent(transaction, {
    at: new Date(now),
    actor,
    action: 'console.link',
    targetType: 'contact',
    target: contactId,
  });
  return path;
}

/**
 * Finds the link or the invitation that a code is of, without consuming it. Returns undefined if the code is unknown, used
 * or expired.
 */
export async function findSignInLink(
  database: Queryable,
  presented: PresentedLink,
  now: number,
): Promise<FoundLink | undefined> {
  const found = await findLink(database, presented, now);
  if (found) return found;
  const invited = await findInvited(database, presented.site, digest(presented.code), new Date(now));
  return invited && { ...invited, returnUrl: null, isByMail: false, isOfBrowser: true };
}

async function useInvitation(
  database: Queryable,
  { site, code }: PresentedLink,
  now: number,
): Promise<Proved | undefined> {
  const accepted = await acceptInvitation(database, site, digest(code), new Date(now));
  if (!accepted) return undefined;
  const grant = site === 'portal' ? { grant: { permissions: null, returnUrl: null } } : {};
  return { ...accepted, method: 'invitation', ...grant };
}

/** @param contact who renews their proof; null: anyone, who signs in. */
async function usePasskey(
  transaction: Transaction,
  core: Core,
  { passkey, at }: { passkey: string; at: PasskeySite },
  site: Site['name'],
  contact: string | null,
): Promise<Proved | undefined> {
  const found = await checkProof(transaction, core, at, passkey, contact);
  if (found === undefined) return undefined;
  const [row] = await transaction.query<{ verifier: Uint8Array }>(
    'SELECT verifier FROM operator_tokens WHERE contact = $1',
    [found],
  );
  const grant = site === 'portal' ? { grant: { permissions: null, returnUrl: null } } : {};
  return { contact: found, operatorToken: row?.verifier ?? null, method: 'passkey', ...grant };
}
