import { connect, createServer, type Socket } from 'node:net';

/** A TCP proxy between a client and a server that can simulate a network that is down or silent. */
export type TcpProxy = {
  /** Returns the given URL with the proxy's address. */
  url: string;
  /** Stalls: open connections stay but transfer nothing; new ones are accepted and get no answer. */
  stall(): void;
  /** Cuts: open connections break and new ones are refused with a reset. */
  cut(): void;
  /**
   * Drops all bytes, as when the other machine lost power; connections that exist at that time stay silent for ever.
   */
  lose(): void;
  /** Returns the number of open connections. */
  connections(): number;
  /** Restores normal operation; stalled connections continue. */
  restore(): void;
  close(): Promise<void>;
};

/** @param falsify changes what the server sends. @param watch is called with what clients send. */
export async function startTcpProxy(
  targetUrl: string,
  falsify = (data: Buffer) => data,
  watch: (data: Buffer) => void = () => undefined,
): Promise<TcpProxy> {
  const target = new URL(targetUrl);
  const sockets = new Set<Socket>();
  const mute = new WeakSet<Socket>();
  let state: 'open' | 'stalled' | 'cut' | 'lost' = 'open';

  const server = createServer((inward) => {
    if (state === 'cut') {
      inward.resetAndDestroy();
      return;
    }
    const outward = connect({ host: target.hostname, port: Number(target.port) });
    for (const [from, to] of [
      [inward, outward],
      [outward, inward],
    ] as const) {
      sockets.add(from);
      from.setNoDelay(true);
      if (state === 'lost') mute.add(from);
      from.on('data', (data) => {
        if (from === inward) watch(data);
        if (!mute.has(from)) to.write(from === outward ? falsify(data) : data);
      });
      from.on('error', () => undefined);
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
      if (state === 'stalled') from.pause();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
  const url = new URL(targetUrl);
  url.hostname = '127.0.0.1';
  url.port = String(address.port);

  return {
    url: url.href,
    stall() {
      state = 'stalled';
      for (const socket of sockets) socket.pause();
    },
    cut() {
      state = 'cut';
      for (const socket of sockets) socket.resetAndDestroy();
    },
    lose() {
      state = 'lost';
      for (const socket of sockets) mute.add(socket);
    },
    connections: () => sockets.size / 2,
    restore() {
      state = 'open';
      for (const socket of sockets) socket.resume();
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
