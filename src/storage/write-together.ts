import type { Duplex } from 'node:stream';
import type { Redis } from 'ioredis';

/**
 * To be called before each command: what is asked within one turn of the event loop then leaves in one write. ioredis' own
 * autopipelining does the same with a pipeline object and more promises, and lets a command wait for the batch before it.
 */
export function createWriteTogether(redis: Redis): () => void {
  let corked: Duplex | undefined;

  function uncork(): void {
    const stream = corked;
    corked = undefined;
    stream?.uncork();
  }

  return () => {
    if (corked) return;
    // Not in its types. Another one after each reconnection.
    corked = (redis as unknown as { stream?: Duplex }).stream;
    if (!corked) return;
    corked.cork();
    setImmediate(uncork);
  };
}
