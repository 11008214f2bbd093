import { Socket } from 'node:net';

/** Maximum wait for a session to end. If the network drops packets, the server's closing message never arrives. */
export const goodbyeMs = 2_000;

/** Keeps track of sockets so that all of them can be destroyed at once. */
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
