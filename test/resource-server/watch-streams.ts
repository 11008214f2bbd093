/** Lets a test wait until verifiers receive events. */
export type WatchedStreams = {
  /** Wraps the `fetch` of a verifier. */
  watch(fetch: typeof globalThis.fetch): typeof globalThis.fetch;
  /** Resolves when each `fetch` that this test wrapped has delivered the first event of an event stream. */
  followed(): Promise<void>;
};

export function watchStreams(): WatchedStreams {
  const waiting: Promise<void>[] = [];
  afterEach(() => void waiting.splice(0));
  return {
    watch: (fetch) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      waiting.push(promise);
      return async (input, init) => {
        const response = await fetch(input, init);
        if (!String(input).endsWith('/oauth2/events') || !response.body) return response;
        const { status, headers } = response;
        const heard = new TransformStream<Uint8Array, Uint8Array>({
          transform: (chunk, controller) => {
            controller.enqueue(chunk);
            // The verifier reads the chunk before this timer runs.
            setTimeout(resolve, 10);
          },
        });
        return new Response(response.body.pipeThrough(heard), { status, headers });
      };
    },
    followed: async () => void (await Promise.all(waiting.splice(0))),
  };
}
