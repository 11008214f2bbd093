import { type Actor, appendAuditEvent } from '../audit/audit-log.ts';
import type { Core } from '../core.ts';
import { rewrapSecrets, rewrapSigningKeys } from './rewrap.ts';

export type Rotation = {
  secrets: number;
  signingKeys: number;
  /** Rows whose sealed copy does not open, or is not what the secret is recognised by: left as they are. */
  unreadable: string[];
};

type Deps = Pick<Core, 'change' | 'clock' | 'database' | 'keyRing'>;

/**
 * Makes everything that has a sealed copy anew under the current root key: the copies, and what the secrets are recognised by. In small
 * transactions, each complete in itself: what was interrupted goes on where it was when it runs again, and two at once share the work.
 * @param onProgress is told how many are done.
 */
export async function rotateRootKey(
  deps: Deps,
  actor: Actor,
  onProgress: (done: number) => void = () => undefined,
): Promise<Rotation> {
  const { current, versions } = deps.keyRing;
  // First, so that it is known also of a rotation that never ends. Written under the current version, as is the end of the log then.
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
    // A row that somebody else has locked is passed over, and met at the next pass; what is locked longer is told as remaining.
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
