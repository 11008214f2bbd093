import type { Change } from './change.ts';

/** The subscribers of the change feed in this process. */
export type ChangeSubscribers = {
  add(onChange: (change: Change) => void, onReset?: () => void, onLoaded?: () => void): void;
  tell(change: Change): void;
  reset(): void;
  loaded(): void;
};

export function createChangeSubscribers(): ChangeSubscribers {
  const changes: ((change: Change) => void)[] = [];
  const resets: (() => void)[] = [];
  const loads: (() => void)[] = [];
  return {
    add: (onChange, onReset, onLoaded) => {
      changes.push(onChange);
      if (onReset) resets.push(onReset);
      if (onLoaded) loads.push(onLoaded);
    },
    tell: (change) => {
      for (const onChange of changes) onChange(change);
    },
    reset: () => {
      for (const onReset of resets) onReset();
    },
    loaded: () => {
      for (const onLoaded of loads) onLoaded();
    },
  };
}
