import { appendAuditEvent, type CommitChange } from '../audit/audit-log.ts';
import { lockContact } from '../contacts/contact-store.ts';
import type { KeyRing } from '../credentials/key-ring.ts';
import type { Log } from '../observability/log.ts';
import type { ProviderCheckOutcome } from '../observability/metrics.ts';
import type { Clock } from '../process/clock.ts';
import { deleteSessions } from '../sessions/session-store.ts';
import type { Queryable, Transaction } from '../storage/database.ts';
import { repeatWork } from '../storage/repeat-work.ts';
import { hasClaim, type IdentityProvider, wantsRefreshToken } from './identity-provider.ts';
import type { IdentityProviders } from './identity-providers.ts';
import type { RefreshAnswer } from './provider-connections.ts';
import {
  type CheckedPerson,
  claimDuePeople,
  deleteRefreshToken,
  lockRefreshToken,
  openRefreshToken,
  saveRefreshToken,
} from './refresh-token-store.ts';
import { actorOf, followClaims, isWithin, setPermissions } from './sign-in-person.ts';

/**
 * Asks identity providers whether they still vouch for people, with the refresh tokens of their sign-ins (OpenID Connect Core
 * 1.0 §11 and §12). People whom a provider no longer knows, or has locked, lose every way in.
 */

type Deps = {
  unlimitedDatabase: Queryable;
  keyRing: KeyRing;
  clock: Clock;
  log: Log;
  change: CommitChange;
  providers: Pick<IdentityProviders, 'find' | 'refresh'>;
  metrics: { checkedPerson(outcome: ProviderCheckOutcome): void };
};

/** Ends the operator tokens that `keyturn login` has got for a person. */
type EndTokens = (
  transaction: Transaction,
  person: { provider: string; subject: string; sid: undefined },
  at: Date,
) => Promise<void>;

/** How often due people are looked for. A person is asked about less often (refresh-token-store.ts). */
const everyMs = 2_000;
/** Number of people that a process asks about at the same time. */
const batchSize = 16;

/** Starts the checks. @returns a function that stops them and waits for the last one. */
export function startPersonChecks(deps: Deps, endTokens: EndTokens): () => Promise<void> {
  let isStopped = false;

  async function checkDuePeople(): Promise<void> {
    // After one failure to connect, the others of that provider are asked about at their next turn.
    const unreachable = new Set<string>();
    while (!isStopped) {
      const people = await claimDuePeople(deps.unlimitedDatabase, deps.clock(), batchSize);
      await Promise.all(people.map((person) => checkPerson(deps, endTokens, person, unreachable)));
      if (people.length < batchSize) return;
    }
  }

  const stop = repeatWork(checkDuePeople, everyMs, deps.log, 'failed to check people at their identity providers');
  return async () => {
    isStopped = true;
    await stop();
  };
}

async function checkPerson(
  deps: Deps,
  endTokens: EndTokens,
  person: CheckedPerson,
  unreachable: Set<string>,
): Promise<void> {
  const counted = (outcome: ProviderCheckOutcome) => deps.metrics.checkedPerson(outcome);
  try {
    const provider = await deps.providers.find(person.provider);
    // A changed provider would reject the token, which does not mean that the person has left.
    if (!provider || !isOf(provider, person)) return counted('not_asked');
    if (unreachable.has(provider.id)) return counted('unanswered');
    const answer = await deps.providers.refresh(provider, openRefreshToken(deps.keyRing, person), person.subject);
    if (answer.as === 'unanswered') {
      if (answer.isUnreachable) unreachable.add(provider.id);
      return counted('unanswered');
    }
    // If this is not committed, the next answer is `invalid_grant` where the provider has replaced the token. The person then
    // has to sign in again, and nobody who has left stays.
    await deps.change((transaction) => apply(transaction, deps, endTokens, provider, person, answer));
    counted(answer.as);
  } catch (error) {
    deps.log.warn(
      { provider: person.provider, contact: person.contact, error: (error as Error).message },
      'failed to check a person at an identity provider',
    );
    counted('unanswered');
  }
}

function isOf(provider: IdentityProvider, { issuer, clientId }: CheckedPerson): boolean {
  return provider.issuer === issuer && provider.clientId === clientId && wantsRefreshToken(provider);
}

async function apply(
  transaction: Transaction,
  deps: Deps,
  endTokens: EndTokens,
  provider: IdentityProvider,
  person: CheckedPerson,
  answer: Exclude<RefreshAnswer, { as: 'unanswered' }>,
): Promise<void> {
  const contact = await lockContact(transaction, person.contact);
  // The person has signed in again in the meantime, or the contact was deleted: the answer is about an earlier sign-in.
  if (!contact || !(await lockRefreshToken(transaction, person))) return;
  // The contact belongs to another organization by now, of which this provider does not decide.
  if (!isWithin(provider, contact)) return await deleteRefreshToken(transaction, person);
  if (answer.as === 'kept') {
    const { claims, refreshToken } = answer;
    const showsClaim = claims !== undefined && hasClaim(provider, claims);
    await saveRefreshToken(transaction, deps.keyRing, person, { refreshToken, showsClaim });
    // Some providers leave the claim out of every refreshed ID token. Only if it was there before, its absence says that the
    // person has none of its values.
    if (claims && (showsClaim || person.showsClaim)) await followClaims(transaction, deps, provider, contact, claims);
    return;
  }
  const at = new Date(deps.clock());
  await setPermissions(transaction, deps, provider, contact, []);
  await deleteSessions(transaction, contact.id, undefined, at);
  await endTokens(transaction, { provider: provider.id, subject: person.subject, sid: undefined }, at);
  await deleteRefreshToken(transaction, person);
  await appendAuditEvent(transaction, {
    at,
    actor: actorOf(provider),
    action: 'contact.end_by_provider',
    targetType: 'contact',
    target: contact.id,
  });
}
