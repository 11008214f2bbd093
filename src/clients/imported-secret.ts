import { isWellFormedClientId, isWellFormedSecret } from '../credentials/credential-format.ts';
import { weaknessOf } from '../credentials/foreign-credential.ts';
import { readSlowHash, slowHashFormats } from '../credentials/slow-hash.ts';
import { createMatcher } from '../credentials/verifier.ts';
import { type AuthMethod, isSecretMethod, type KnownClient } from './client.ts';
import type { ForeignClient } from './foreign-client.ts';
import type { ManageDeps } from './manage-clients.ts';

/** Decides which secrets of another server's client are kept. */

export type ImportPolicy = {
  /** Whether a client without a usable secret gets a new one. Otherwise it is rejected. */
  freshSecrets: boolean;
  /** Whether a secret that looks like a bare hash is accepted. */
  acceptHashLike: boolean;
  /** Whether clients that an earlier import of the same file registered are skipped. Otherwise they are rejected. */
  resume: boolean;
};

/** A secret of another server, or a slow hash of it, which is verified at the first use of the secret. */
export type ImportedSecret = { secret: string } | { hash: string };

/** The secrets of an imported client. */
export type KeptSecrets = {
  /** The imported secret, or undefined if a new one is generated or the client authenticates without one. */
  kept: ImportedSecret | undefined;
  /** The previous secret, which is accepted until the end of its grace period. */
  previous: (ImportedSecret & { endsAt: Date }) | undefined;
};

/** Returns whether an accepted client has a secret that awaits its first use. */
export function hasHashedSecret({ kept, previous }: KeptSecrets): boolean {
  return [kept, previous].some((secret) => secret !== undefined && 'hash' in secret);
}

type DecidedSecrets = KeptSecrets & { reasons: string[] };

export function decideSecrets(row: ForeignClient, policy: ImportPolicy, now: number): DecidedSecrets {
  if (!isSecretMethod(row.authMethod as AuthMethod)) return { kept: undefined, previous: undefined, reasons: [] };
  const read = readSecret(row, row.clientSecret, policy, row.secretHash);
  const problem = 'problem' in read ? read.problem : expiryProblem(row, now);
  const reasons = problem && !policy.freshSecrets ? [problem] : [];
  const kept = 'problem' in read || problem ? undefined : read;
  const previous = row.previousSecret && row.previousSecret.endsAt.getTime() > now ? row.previousSecret : undefined;
  if (!previous) return { kept, previous, reasons };
  const readPrevious =
    previous.secret === row.clientSecret
      ? { problem: 'is also the current one' }
      : readSecret(row, previous.secret, policy);
  if (!('problem' in readPrevious)) return { kept, previous: { ...readPrevious, endsAt: previous.endsAt }, reasons };
  if (!policy.freshSecrets) reasons.push(`previous secret: ${readPrevious.problem}`);
  return { kept, previous: undefined, reasons };
}

/**
 * Reads a secret of another server.
 * @param given the secret, or a text that cannot be one because it is a hash in a known format.
 * @param hash from a member that means a hash.
 * @returns why it cannot be kept, without any part of it.
 */
function readSecret(
  row: ForeignClient,
  given: string | undefined,
  policy: ImportPolicy,
  hash?: unknown,
): ImportedSecret | { problem: string } {
  if (hash !== undefined && given !== undefined) return { problem: 'it has both a secret and the hash of one' };
  const read = readSlowHash(hash ?? given);
  if (!read && hash !== undefined) {
    return { problem: `the hash of the secret has an unknown format; ${slowHashFormats} can be imported` };
  }
  if (!read) {
    const problem = secretProblem(row, given, policy);
    return problem === undefined && given !== undefined ? { secret: given } : { problem: problem ?? '' };
  }
  return 'hash' in read && isWellFormedClientId(row.clientId) ? { problem: ownFormatNeeded } : read;
}

const ownFormatNeeded = 'a Client ID in the format of Keyturn needs a secret in the format of Keyturn';

/**
 * Returns whether a registered client has or had the secret of the file. If that secret could not be kept, the client
 * has another one and the result is true.
 */
export function hasSecret(
  { keyRing }: ManageDeps,
  { secrets }: KnownClient,
  kept: ImportedSecret | undefined,
): boolean {
  if (kept === undefined) return true;
  // A hash is deleted at the first use of its secret.
  if ('hash' in kept)
    return secrets.every(({ hash }) => hash === null) || secrets.some(({ hash }) => hash === kept.hash);
  return createMatcher(keyRing, 'client-secret-pepper', kept.secret)(secrets) !== undefined;
}

export function secretsOf({ kept, previous }: KeptSecrets): string[] {
  return [kept, previous].flatMap((one) => (one === undefined ? [] : 'hash' in one ? one.hash : one.secret));
}

function secretProblem(
  { clientId, name }: ForeignClient,
  secret: string | undefined,
  { acceptHashLike }: ImportPolicy,
): string | undefined {
  if (secret === undefined) return 'it has no secret';
  if (isWellFormedSecret(secret, 'kts_')) return undefined;
  if (isWellFormedClientId(clientId)) return ownFormatNeeded;
  return weaknessOf(secret, [clientId, name], acceptHashLike);
}

/**
 * Returns why a secret that expires cannot be imported: secrets in Keyturn have no expiry, so it could not be enforced.
 */
function expiryProblem({ secretExpiresAt }: ForeignClient, now: number): string | undefined {
  if (!secretExpiresAt) return undefined;
  if (secretExpiresAt.getTime() <= now) return 'the secret has expired';
  return `the secret expires on ${secretExpiresAt.toISOString()}, which Keyturn cannot enforce`;
}
