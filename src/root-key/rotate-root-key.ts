import type { Actor } from '../audit/audit-event.ts';
import { appendAuditEvent } from '../audit/audit-log.ts';
import type { Core } from '../core.ts';
import { rewrapSecrets, rewrapSigningKeys } from './rewrap.ts';

export type Rotation = {
  secrets: number;
  signingKeys: number;
  /** Rows whose sealed copy does not open or does not match the verifier. They are left unchanged. */
  unreadable: string[];
};

type Deps = Pick<Core, 'change' | 'clock' | 'database' | 'keyRing'>;

/**
 * Re-creates sealed copies and verifiers under the current root key for everything that has a sealed copy. Works in
 * small, complete transactions: an interrupted run continues where it stopped, and two runs at once share the work.
 * @param onProgress receives the number of processed rows.
 */
export async function rotateRootKey(
  deps: Deps,
  actor: Actor,
  onProgress: (done: number) => void = () => undefined,
): Promise<Rotation> {
  const { current, versions } = deps.keyRing;
  // Recorded first, so that a rotation that never finishes is known too. The audit log's end is sealed under the
  // current version by this event.
  await deps.change((transaction) =>
    appendAuditEvent(transaction, {
      at: new Date(deps.clock()),
      actor,
      action: 'root_key.rotate',
      targetType: 'root_key',
      target: current,
      after: { versions },
    }),
  );
  const rotation: Rotation = { secrets: 0, signingKeys: 0, unreadable: [] };
  const kinds = [
    { counted: 'signingKeys', rewrap: rewrapSigningKeys },
    { counted: 'secrets', rewrap: rewrapSecrets },
  ] as const;
  for (const { counted, rewrap } of kinds) {
    // A locked row is skipped and retried in the next pass. A row that stays locked is reported as remaining.
    for (let pass = 0; pass < maxPasses; pass++) {
      const before = rotation[counted];
      const unreadable = new Set<string>();
      for (let after: string | undefined = ''; after !== undefined; ) {
        const batch = await deps.change((transaction) => rewrap(transaction, deps, after as string));
        rotation[counted] += batch.done;
        for (const id of batch.unreadable) unreadable.add(id);
        onProgress(rotation.secrets + rotation.signingKeys);
        after = batch.last;
      }
      if (rotation[counted] === before) {
        rotation.unreadable.push(...unreadable);
        break;
      }
    }
  }
  return rotation;
}

const maxPasses = 20;
