import type { Change } from './change.ts';
import type { RevokedTokens } from './read-changes.ts';

/** The subscribers of the change feed in this process. */
export type ChangeSubscribers = {
  add(onChange: (change: Change) => void, onReset?: () => void, onLoaded?: () => void): void;
  addRevoked(onRevoked: (revoked: RevokedTokens) => void): void;
  tell(change: Change): void;
  revoked(revoked: RevokedTokens): void;
  reset(): void;
  loaded(): void;
};

export function createChangeSubscribers(): ChangeSubscribers {
  const changes: ((change: Change) => void)[] = [];
  const ofRevoked: ((revoked: RevokedTokens) => void)[] = [];
  const resets: (() => void)[] = [];
  const loads: (() => void)[] = [];
  return {
    add: (onChange, onReset, onLoaded) => {
      changes.push(onChange);
      if (onReset) resets.push(onReset);
      if (onLoaded) loads.push(onLoaded);
    },
    addRevoked: (onRevoked) => {
      ofRevoked.push(onRevoked);
    },
    tell: (change) => {
      for (const onChange of changes) onChange(change);
    },
    revoked: (revoked) => {
      for (const onRevoked of ofRevoked) onRevoked(revoked);
    },
    reset: () => {
      for (const onReset of resets) onReset();
    },
    loaded: () => {
      for (const onLoaded of loads) onLoaded();
    },
  };
}
