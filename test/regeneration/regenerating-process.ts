/**
 * Process that regenerates the secret of one client endlessly, after it receives a line on standard input. Prints each
 * new secret on standard output as soon as it is committed. With `key` or `certificate` as second argument, replaces
 * the client's keys or certificate by each line that it receives instead (a registration as JSON), and prints its number
 * as soon as it is committed. `kill-nine.test.ts` kills it.
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
import type { Transaction } from '../../src/storage/database.ts';

const clientId = process.argv[2] ?? '';
const config = readConfig();
const core = await openCore(config, createLog('silent'));
const actor = { id: 'killed', name: 'killed', address: null };

// A killed process does not write its compiled code at its end.
flushCompileCache();
process.stdout.write('ready\n');
const [, , , replaced] = process.argv;
if (replaced) await replaceByLines();
else await new Promise((resolve) => process.stdin.once('data', resolve));
for (;;) {
  // If the secret was used by a new source in between, the review is repeated.
  const regenerated = await core.change(regenerate).catch((error: unknown) => {
    if (error instanceof KeyturnError && error.code === 'confirmation_required') return undefined;
    throw error;
  });
  if (regenerated) process.stdout.write(`${regenerated.plaintext}\n`);
}

async function regenerate(transaction: Transaction) {
  const owner = await requireClientOwner(transaction, clientId);
  const { confirmation } = await reviewRegeneration(transaction, core, owner);
  return await regenerateSecret(transaction, core, actor, owner, { confirmation, overlapSeconds: 600 });
}

/** Reviews and replaces until each line was committed. */
async function replaceByLines(): Promise<void> {
  let number = 0;
  for await (const line of createInterface({ input: process.stdin })) {
    const given = JSON.parse(line) as GivenReplacement;
    for (let isDone = false; !isDone; ) {
      isDone = await core
        .change(async (transaction) => {
          const owner = await requireClientOwner(transaction, clientId);
          if (!owner.registration) throw new Error('the client has no registration');
          const replace = readReplacement(owner.registration, given);
          const { confirmation } = await reviewRegeneration(transaction, core, owner, replace);
          await regenerateSecret(transaction, core, actor, owner, { confirmation, replace, overlapSeconds: 600 });
          return true;
        })
        .catch((error: unknown) => {
          if (error instanceof KeyturnError && error.code === 'confirmation_required') return false;
          throw error;
        });
    }
    process.stdout.write(`${number}\n`);
    number += 1;
  }
}
