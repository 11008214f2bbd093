import type { Socket } from 'node:net';
import type pg from 'pg';

/** Members of pg's client that its types do not have. */
type InnerClient = { processID?: number; connection?: { stream?: Socket } };

/** Returns the process ID of the server that a connection reported at its start, or undefined if pg does not tell it. */
export function serverProcessId(client: pg.ClientBase): number | undefined {
  return (client as unknown as InnerClient).processID;
}

/** Closes a connection at once, without a message to the server. Returns false if pg does not give its socket. */
export function destroyConnection(client: pg.ClientBase): boolean {
  const socket = (client as unknown as InnerClient).connection?.stream;
  socket?.destroy();
  return socket !== undefined;
}
