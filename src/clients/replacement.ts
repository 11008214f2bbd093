import { X509Certificate } from 'node:crypto';
import type { Dialect } from '../configuration/dialects.ts';
import { isOfSecret, keysOfRegistration, type Registration } from '../credentials/registration.ts';
import { InvalidInput } from '../errors.ts';
import { type ReviewDeps, requireConfirmation } from '../regeneration/review.ts';
import { requireCurrent } from '../secrets/manage-secrets.ts';
import { findSecrets } from '../secrets/secret-store.ts';
import type { Transaction } from '../storage/database.ts';
import { findClientKeys } from '../usage/client-key-store.ts';
import { findSources } from '../usage/usage-report.ts';
import type { Authentication, AuthMethod, Client } from './client.ts';
import { type GivenKeys, type KeyDeps, keyDepsOf, registerKeys } from './client-rules.ts';
import { asSecretOwner } from './client-store.ts';

/** The new keys or certificate of a client: members of a registration, or a certificate in PEM. */
export type GivenReplacement = GivenKeys & {
  authMethod?: AuthMethod | undefined;
  certificate?: string | undefined;
  /** The id of a trust of the client, which the caller has checked. */
  trust?: string | undefined;
};

/**
 * Returns the registration that replaces a client's current one. The method may be absent if the other members
 * determine it.
 * @throws {InvalidInput} if it cannot be registered, or is registered already.
 */
export function readReplacement(current: Registration, given: GivenReplacement, deps?: KeyDeps): Authentication {
  const { certificate, trust, ...keys } = given;
  if (trust !== undefined && given.authMethod !== undefined && given.authMethod !== 'workload_identity') {
    throw new InvalidInput('`replace` has both `trust` and another `auth_method`.');
  }
  if (certificate !== undefined && given.jwks) throw new InvalidInput('`replace` has both `jwks` and `certificate`.');
  const jwks = certificate === undefined ? given.jwks : { keys: readCertificateKeys(certificate) };
  const authMethod = given.authMethod ?? methodFor(current, given);
  const replacement = { authMethod, ...registerKeys(authMethod, { ...keys, jwks }, deps) };
  if (!isOfSecret(replacement) && isSame(current, replacement)) {
    throw new InvalidInput('`replace` is what this client authenticates with already, so nothing would change.');
  }
  return replacement;
}

function methodFor(current: Registration, given: GivenReplacement): AuthMethod {
  if (given.trust !== undefined) return 'workload_identity';
  if (given.certificate !== undefined) return 'self_signed_tls_client_auth';
  if (given.certificateSubject) return 'tls_client_auth';
  if (given.jwks && current.authMethod === 'self_signed_tls_client_auth') return 'self_signed_tls_client_auth';
  if (given.jwks || given.jwksUri !== undefined) return 'private_key_jwt';
  throw new InvalidInput(
    '`replace` needs `auth_method`, `jwks`, `jwks_uri`, `certificate`, `trust` or a `tls_client_auth_…` member.',
  );
}

/** Returns each certificate of a PEM text as a key that contains it (RFC 8705 §2.2.2). @throws {InvalidInput} */
export function readCertificateKeys(pem: string): Record<string, unknown>[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw new InvalidInput('`certificate` has no certificate in PEM.');
  return blocks.map((block) => {
    try {
      const { publicKey, raw } = new X509Certificate(block);
      return { ...publicKey.export({ format: 'jwk' }), x5c: [raw.toString('base64')] };
    } catch {
      throw new InvalidInput('`certificate` has a certificate that cannot be read.');
    }
  });
}

function isSame(one: Registration, other: Registration): boolean {
  return comparable(one) === comparable(other);
}

function comparable({ authMethod, jwks, jwksUri, certificateSubject }: Registration): string {
  // The database returns members of JSON in another order.
  const sorted = (value: unknown): unknown =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.entries(value)
          .sort(([left], [right]) => (left < right ? -1 : 1))
          .map(([name, member]) => [name, sorted(member)])
      : Array.isArray(value)
        ? value.map(sorted)
        : value;
  return JSON.stringify([authMethod, sorted(jwks), jwksUri, sorted(certificateSubject)]);
}

const usedWithinMs = 30 * 86_400_000;

/**
 * Checks that a change of a client ends no key or certificate that is in use, and no secret.
 * @throws {KeyturnError} 428 `confirmation_required` with a review whose confirmation rotates what would end.
 */
export async function requireNoneCut(
  transaction: Transaction,
  deps: ReviewDeps & KeyDeps,
  client: Client,
  {
    authMethod = client.authMethod,
    jwks,
    jwksUri,
    certificateSubject,
    dialects = client.dialects,
  }: GivenKeys & { authMethod?: AuthMethod | undefined; dialects?: readonly Dialect[] | undefined },
): Promise<void> {
  const isOther = authMethod !== client.authMethod;
  if (!isOther && !jwks && jwksUri === undefined && !certificateSubject) return;
  const accepted = keyDepsOf(deps, { dialects });
  const replace = { authMethod, ...registerKeys(authMethod, { jwks, jwksUri, certificateSubject }, accepted) };
  if (isSame(client, replace)) return;
  const owner = asSecretOwner(client);
  const secrets = await findSecrets(transaction, owner);
  const now = deps.clock();
  const { generation } = requireCurrent(owner, secrets, { isReplaced: true }, now);
  if (!isOther && !(await endsKeyInUse(transaction, client, generation, replace, now))) return;
  const reason =
    'This change would end what the client authenticates with now. To rotate it with a grace period, send it as `replace`, with the confirmation of this review, to …/regenerate.';
  await requireConfirmation(transaction, deps, owner, secrets, { confirmation: undefined, replace, reason });
}

async function endsKeyInUse(
  transaction: Transaction,
  client: Client,
  generation: number,
  replace: Registration,
  now: number,
): Promise<boolean> {
  const isRecent = (date: Date | null) => date !== null && now - date.getTime() < usedWithinMs;
  const sources = await findSources(transaction, client.id, [generation], now);
  const isUsed = sources.some(({ lastUsedAt }) => isRecent(lastUsedAt));
  if (!client.jwks) return isUsed;
  const kept = new Set(keysOfRegistration(replace).map(({ thumbprint }) => thumbprint));
  const ended = new Set(
    keysOfRegistration(client).flatMap(({ thumbprint }) => (kept.has(thumbprint) ? [] : [thumbprint])),
  );
  if (ended.size === 0) return false;
  const records = (await findClientKeys(transaction, [client.id])).get(client.id) ?? [];
  // A key can be in use although its credential is not: it may have been used with a previous credential only.
  if (records.some(({ thumbprint, lastUsedAt }) => ended.has(thumbprint) && isRecent(lastUsedAt))) return true;
  if (!isUsed || !replace.jwks) return isUsed;
  // Uses that were counted before each key had its own count may belong to any key.
  const earliest = (dates: readonly (Date | null)[]) =>
    Math.min(...dates.flatMap((date) => (date ? [date.getTime()] : [])));
  return (
    earliest(sources.map(({ firstUsedAt }) => firstUsedAt)) < earliest(records.map(({ firstUsedAt }) => firstUsedAt))
  );
}
