import { connect } from 'node:net';

/**
 * Sends the pieces one after another over one connection, and reads until the server closes it or is silent for
 * `silenceMs`. Returns the received text without the parts that differ between any two answers.
 */
export async function exchange(port: number, pieces: readonly Buffer[], silenceMs: number): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  const chunks: Buffer[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.setNoDelay(true);
  socket.on('data', (chunk) => chunks.push(chunk));
  // Ignore errors: a server that rejects a request may close the connection before all of it is sent.
  socket.on('error', () => undefined);
  socket.on('close', () => resolve());
  socket.setTimeout(silenceMs, () => socket.destroy());
  const [first = Buffer.alloc(0), ...rest] = pieces;
  socket.write(first);
  for (const piece of rest) {
    await new Promise((done) => setTimeout(done, 1));
    if (socket.writable) socket.write(piece);
  }
  await promise;
  return comparable(Buffer.concat(chunks).toString('latin1'));
}

/** Replaces the parts that differ in every answer: token, signature, request ID, time of day and event position. */
function comparable(text: string): string {
  return (
    text
      .replaceAll(/"access_token":"kta_[0-9A-Za-z]{49}"/g, '"access_token":"…"')
      .replaceAll(/eyJ[\w-]+\.[\w-]+\.[\w-]+/g, claimsOf)
      .replaceAll(/^X-Request-Id: [0-9a-f-]{36}\r$/gim, 'X-Request-Id: …\r')
      .replaceAll(/^Date: [^\r]*\r$/gim, 'Date: …\r')
      .replaceAll(/^id: .*$/gm, 'id: …')
      // Each server sends heartbeats of an event stream by a timer of its own: drop their chunks.
      .replaceAll('d\r\n: heartbeat\n\n\r\n', '')
  );
}

/** Returns the claims of a JWT without the times of its signature. */
function claimsOf(jwt: string): string {
  const [, payload = ''] = jwt.split('.');
  return Buffer.from(payload, 'base64url')
    .toString('utf8')
    .replace(/"iat":\d+,"token_introspection"/, '"token_introspection"');
}
