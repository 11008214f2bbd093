import { Socket } from 'node:net';

/** How long a session may take to end: where the network is silent, the server's goodbye never comes. */
export const goodbyeMs = 2_000;

/** Sockets that can all be given up at once. */
export function trackSockets(): { open: () => Socket; destroy: () => void } {
  const sockets = new Set<Socket>();
  return {
    open: () => {
      const socket = new Socket();
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      return socket;
    },
    destroy: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}
