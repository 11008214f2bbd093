/**
 * Process that regenerates the secrets of several clients endlessly and at the same time, after it receives a line on
 * standard input. With `key` or `certificate` as first argument instead of `secret`, replaces keys or certificates by the
 * lines that it receives (`{client_id, authMethod, jwks}` as JSON). Prints the Client ID and `begins` before each change,
 * and the Client ID and the new secret, or `done`, as soon as the change is committed. `kill-nine.test.ts` kills it.
 */

import { flushCompileCache } from 'node:module';
import { createInterface } from 'node:readline';
import { requireClientOwner } from '../../src/clients/client-store.ts';
import { type GivenReplacement, readReplacement } from '../../src/clients/replacement.ts';
import { readConfig } from '../../src/config.ts';
import { openCore } from '../../src/core.ts';
import { KeyturnError } from '../../src/errors.ts';
import { createLog } from '../../src/observability/log.ts';
import { regenerateSecret } from '../../src/regeneration/regenerate-secret.ts';
import { reviewRegeneration } from '../../src/regeneration/review.ts';

const [, , kind, ...clientIds] = process.argv;
const core = await openCore(readConfig(), createLog('silent'));
const actor = { id: 'killed', name: 'killed', address: null };

// A killed process does not write its compiled code at its end.
flushCompileCache();
process.stdout.write('ready\n');
const input = createInterface({ input: process.stdin });
if (kind === 'secret') {
  input.once('line', () => {
    for (const clientId of clientIds) void regenerateEndlessly(clientId);
  });
} else {
  const replacing = new Map(clientIds.map((clientId) => [clientId, Promise.resolve()]));
  input.on('line', (line) => {
    const { client_id: clientId, ...given } = JSON.parse(line) as { client_id: string } & GivenReplacement;
    replacing.set(
      clientId,
      (replacing.get(clientId) ?? Promise.resolve()).then(() => change(clientId, given)),
    );
  });
}

async function regenerateEndlessly(clientId: string): Promise<never> {
  for (;;) await change(clientId);
}

/** Reviews and regenerates or replaces, and prints both its begin and its commit. */
async function change(clientId: string, given?: GivenReplacement): Promise<void> {
  process.stdout.write(`${clientId} begins\n`);
  for (;;) {
    try {
      const { plaintext } = await core.change(async (transaction) => {
        const owner = await requireClientOwner(transaction, clientId);
        const replace = given && owner.registration ? readReplacement(owner.registration, given) : undefined;
        const { confirmation } = await reviewRegeneration(transaction, core, owner, replace);
        return await regenerateSecret(transaction, core, actor, owner, { confirmation, replace, overlapSeconds: 600 });
      });
      process.stdout.write(`${clientId} ${plaintext ?? 'done'}\n`);
      return;
    } catch (error) {
      // If the credential was used by a new source in between, the review is repeated.
      if (!(error instanceof KeyturnError && error.code === 'confirmation_required')) throw error;
    }
  }
}
