import { createHook } from 'node:async_hooks';

/** Counts the signatures that this process makes or checks until `stop`, which returns the number. */
export function countSignatures(): { stop(): number } {
  let count = 0;
  const hook = createHook({
    init: (_id, type) => {
      // The type of OpenSSL's work for both, with `node:crypto` and with Web Crypto.
      if (type === 'SIGNREQUEST') count += 1;
    },
  }).enable();
  return {
    stop: () => {
      hook.disable();
      return count;
    },
  };
}
