import { availableParallelism } from 'node:os';
import type { KnownClient } from '../clients/client.ts';
import { secretsAwaitingUse, storeFirstUse } from '../clients/store-first-use.ts';
import type { Core } from '../core.ts';
import { isForeignClientId, isForeignSecret } from '../credentials/foreign-credential.ts';
import { unmatchableHash, verifySlowHash } from '../credentials/slow-hash.ts';
import { createVerifier } from '../credentials/verifier.ts';
import { Conflict } from '../errors.ts';
import { networkOf } from '../http/client-address.ts';
import { createFairQueue } from '../secrets/fair-queue.ts';
import { countFailedAttempt } from './failure-limit.ts';
import type { Pair } from './fast-path/head-start.ts';

/**
 * `impossible`: nothing was verified, because no imported secret can have this form or none awaits its first use.
 * `stored`: the secret is valid and stored like every other one now. `secret_taken`: another client has the same secret.
 */
type Outcome = 'impossible' | 'stored' | 'wrong' | 'secret_taken';

type Reading = { pair: Pair; known: KnownClient | undefined };

/** Verifies imported secrets, of which only a slow hash is known, at their first use. */
export type FirstUses = {
  /**
   * Verifies credentials that no stored secret matches, and stores the secret if it is the right one. As long as any
   * secret of the deployment awaits its first use, a client without one and an unknown client take the same way: their
   * attempt is counted and waits for its turn, and a hash of the same cost is computed. So neither time nor load shows
   * which clients exist.
   * @param readings what the request may mean, each with its client, re-read for this request.
   * @param request the address of the caller, and when the request began, by `performance.now()`.
   * @throws {TooManyRequests} if the address had too many failures. The attempt is counted before anything is computed.
   * @throws {KeyturnError} 503 `temporarily_unavailable` if too many verifications are waiting.
   */
  verify(readings: readonly Reading[], request: { address: string; since: number }): Promise<Outcome>;
};

const maxWaiting = 256;
/** Equal to the default limit of failures, which bounds the attempts of an address that wait. */
const maxWaitingOfNetwork = 100;

export function createFirstUses(core: Core): FirstUses {
  // Leave processors to ordinary requests, and threads of Node's thread pool to everything else that uses it.
  const running = Math.max(1, Math.min(2, Math.floor(availableParallelism() / 2 / core.config.workers)));
  const limits = { running, waiting: maxWaiting, waitingOfSource: maxWaitingOfNetwork };
  const queue = createFairQueue(limits, () => core.metrics.verifiedHash('queue_full'));
  /** Verifications by credentials, because a client that starts sends its secret on many connections at once. */
  const pending = new Map<string, Promise<Outcome>>();

  async function verify(
    { pair: { clientId, clientSecret }, known }: Reading,
    shapes: readonly (readonly string[])[],
    network: string,
  ): Promise<Outcome> {
    const awaiting = known ? secretsAwaitingUse(known, clientId, core.clock()) : [];
    const hashes =
      awaiting.length > 0
        ? awaiting.map(({ hash }) => hash ?? '')
        : shapesFor(core, clientId, shapes).map(unmatchableHash);
    const matched = await queue.run(network, async () => {
      for (const [index, hash] of hashes.entries()) if (await verifySlowHash(hash, clientSecret)) return index;
      return undefined;
    });
    const secret = matched === undefined ? undefined : awaiting[matched];
    core.metrics.verifiedHash(secret ? 'matched' : 'not_matched');
    if (!known || !secret) return 'wrong';
    try {
      await core.change((transaction) => storeFirstUse(transaction, core, known.client, secret, clientSecret));
      return 'stored';
    } catch (error) {
      if (error instanceof Conflict) return 'secret_taken';
      throw error;
    }
  }

  async function verifyAll(
    readings: readonly Reading[],
    shapes: readonly (readonly string[])[],
    network: string,
  ): Promise<Outcome> {
    let outcome: Outcome = 'wrong';
    for (const reading of readings) {
      if (outcome === 'wrong') outcome = await verify(reading, shapes, network);
    }
    return outcome;
  }

  return {
    verify: async (readings, { address, since }) => {
      const possible = readings.filter(
        ({ pair }) => isForeignClientId(pair.clientId) && isForeignSecret(pair.clientSecret),
      );
      if (possible.length === 0) return 'impossible';
      const shapes = await core.clients.hashShapes(since);
      if (shapes.length === 0) return 'impossible';
      const takeBack = countFailedAttempt(core.failureRate, address);
      const key = possible.map(({ pair }) => `${pair.clientId}\0${pair.clientSecret}`).join('\0');
      const verification =
        pending.get(key) ?? verifyAll(possible, shapes, networkOf(address) ?? '').finally(() => pending.delete(key));
      pending.set(key, verification);
      let outcome: Outcome | undefined;
      try {
        outcome = await verification;
        return outcome;
      } finally {
        if (outcome === 'stored' || outcome === undefined) takeBack();
      }
    },
  };
}

/**
 * Chooses the shapes of hashes for a Client ID without a hash: always the same ones, so that repeating a request shows
 * nothing, and unpredictable ones.
 */
function shapesFor({ keyRing }: Core, clientId: string, shapes: readonly (readonly string[])[]): readonly string[] {
  const { verifier } = createVerifier(keyRing, 'client-secret-pepper', `first use of ${clientId}`);
  return shapes[Buffer.from(verifier).readUInt16BE() % shapes.length] ?? [];
}
