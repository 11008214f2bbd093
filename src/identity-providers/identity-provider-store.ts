import type { KeyRing } from '../credentials/key-ring.ts';
import { seal, unseal } from '../credentials/sealed-copy.ts';
import type { Queryable, Row, Transaction } from '../storage/database.ts';
import { recordDistrusted } from '../storage/lost-rows.ts';
import type { ClaimGrant, IdentityProvider } from './identity-provider.ts';

type ProviderRow = Row & Omit<IdentityProvider, 'clientSecret'> & { sealed: string | null };

const columns = `id, organization AS "organizationId", name, issuer, client_id AS "clientId", sealed, scope, claim, grants,
  creates_contacts AS "createsContacts", links_by_email AS "linksByEmail", acr_values AS "acrValues",
  email_domains AS "emailDomains", enabled, revision, created_at AS "createdAt", updated_at AS "updatedAt"`;

type Stores = { database: Queryable; keyRing: KeyRing };

export async function findProvider({ database, keyRing }: Stores, id: string): Promise<IdentityProvider | undefined> {
  const [row] = await database.query<ProviderRow>(`SELECT ${columns} FROM identity_providers WHERE id = $1`, [id]);
  return row && toProvider(keyRing, row);
}

/** Lists the providers that an operator may see, oldest first. Each organization has few. */
export async function listProviders(
  { database, keyRing }: Stores,
  organizationId?: string | undefined,
): Promise<IdentityProvider[]> {
  const rows = await database.query<ProviderRow>(
    `SELECT ${columns} FROM identity_providers WHERE $1::uuid IS NULL OR organization = $1 ORDER BY created_at, id LIMIT 1000`,
    [organizationId ?? null],
  );
  return rows.map((row) => toProvider(keyRing, row));
}

/** Finds the enabled providers of an enabled organization, by its id, its external id, or an e-mail domain. */
export async function findProvidersFor({ database, keyRing }: Stores, text: string): Promise<IdentityProvider[]> {
  const domain = text.includes('@') ? text.slice(text.lastIndexOf('@') + 1) : text;
  const rows = await database.query<ProviderRow>(
    `SELECT ${columns} FROM identity_providers p WHERE enabled
       AND EXISTS (SELECT FROM organizations o WHERE o.id = p.organization AND o.enabled
         AND (o.id::text = $1 OR o.external_id = $1 OR lower($2) = ANY (p.email_domains)))
     ORDER BY created_at, id LIMIT 20`,
    [text, domain],
  );
  return rows.map((row) => toProvider(keyRing, row));
}

export async function lockProvider(
  transaction: Transaction,
  keyRing: KeyRing,
  id: string,
): Promise<IdentityProvider | undefined> {
  const [row] = await transaction.query<ProviderRow>(
    `SELECT ${columns} FROM identity_providers WHERE id = $1 FOR UPDATE`,
    [id],
  );
  return row && toProvider(keyRing, row);
}

export async function insertProvider(transaction: Transaction, ring: KeyRing, made: IdentityProvider): Promise<void> {
  await transaction.query(
    `INSERT INTO identity_providers (id, organization, name, issuer, client_id, sealed, scope, claim, grants,
       creates_contacts, links_by_email, acr_values, email_domains, enabled, updated_at, created_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb, $10, $11, $12, $13, $14, $15, $16)`,
    [...valuesOf(ring, made), made.updatedAt, made.createdAt],
  );
}

/** Saves the changeable members, and increments the revision. */
export async function saveProvider(
  transaction: Transaction,
  ring: KeyRing,
  changed: IdentityProvider,
  at: Date,
): Promise<void> {
  await transaction.query(
    `UPDATE identity_providers SET organization = $2, name = $3, issuer = $4, client_id = $5, sealed = $6, scope = $7,
       claim = $8, grants = $9::jsonb, creates_contacts = $10, links_by_email = $11, acr_values = $12,
       email_domains = $13, enabled = $14, updated_at = $15, revision = revision + 1
     WHERE id = $1`,
    [...valuesOf(ring, changed), at],
  );
}

export async function deleteProviderRow(transaction: Transaction, id: string, at: Date): Promise<void> {
  await transaction.query('DELETE FROM contact_identities WHERE provider = $1', [id]);
  await transaction.query('DELETE FROM provider_refresh_tokens WHERE provider = $1', [id]);
  await transaction.query('DELETE FROM identity_providers WHERE id = $1', [id]);
  await recordDistrusted(transaction, 'identity_providers', id, at);
}

function valuesOf(ring: KeyRing, provider: IdentityProvider): unknown[] {
  const { id, clientSecret } = provider;
  return [
    id,
    provider.organizationId,
    provider.name,
    provider.issuer,
    provider.clientId,
    clientSecret === null ? null : seal(ring, placeOf(id), clientSecret),
    provider.scope,
    provider.claim,
    JSON.stringify(provider.grants),
    provider.createsContacts,
    provider.linksByEmail,
    provider.acrValues,
    provider.emailDomains,
    provider.enabled,
  ];
}

/** Where the sealed client secret of a provider is stored. */
function placeOf(id: string) {
  return { table: 'identity_providers', id };
}

function toProvider(ring: KeyRing, { sealed, ...row }: ProviderRow): IdentityProvider {
  return {
    ...row,
    grants: row.grants as ClaimGrant[],
    clientSecret: sealed === null ? null : unseal(ring, placeOf(row.id), sealed),
  };
}

/** A person as a provider names them: `sub` is unique within an issuer. */
export type Identity = { provider: string; issuer: string; subject: string };

/** Finds the contact of a person at a provider. Its e-mail address plays no part. */
export async function findContactOfIdentity(
  database: Queryable,
  { provider, issuer, subject }: Identity,
): Promise<string | undefined> {
  const [row] = await database.query<{ contact: string }>(
    'SELECT contact FROM contact_identities WHERE provider = $1 AND issuer = $2 AND subject = $3',
    [provider, issuer, subject],
  );
  return row?.contact;
}

/**
 * Finds the contacts of an organization with this e-mail address that no person of this provider is matched with, at most
 * two: if there are several, it is not known which one is meant.
 */
export async function findContactsByEmail(
  transaction: Transaction,
  { provider, issuer }: Identity,
  organizationId: string,
  email: string,
): Promise<string[]> {
  const rows = await transaction.query<{ id: string }>(
    `SELECT id FROM contacts c WHERE organization = $1 AND lower(email) = lower($2)
       AND NOT EXISTS (SELECT FROM contact_identities WHERE contact = c.id AND provider = $3 AND issuer = $4) LIMIT 2`,
    [organizationId, email, provider, issuer],
  );
  return rows.map(({ id }) => id);
}

export async function insertIdentity(
  transaction: Transaction,
  { provider, issuer, subject }: Identity,
  contact: string,
  at: Date,
): Promise<void> {
  await transaction.query(
    'INSERT INTO contact_identities (provider, issuer, subject, contact, created_at) VALUES ($1, $2, $3, $4, $5)',
    [provider, issuer, subject, contact, at],
  );
}
