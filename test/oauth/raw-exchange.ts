import { connect } from 'node:net';

/**
 * Writes the pieces one after the other over one connection, and reads until the server closes it, or has said nothing for
 * `silenceMs`: all that came, with what differs from one answer to the next in any case taken out.
 */
export async function exchange(port: number, pieces: readonly Buffer[], silenceMs: number): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  const chunks: Buffer[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.setNoDelay(true);
  socket.on('data', (chunk) => chunks.push(chunk));
  // A server that refuses may close before all is written; what it said counts.
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

/** The token's value, a signature, the request's id, the time of day and how far an event stream has come are each answer's own. */
function comparable(text: string): string {
  return text
    .replaceAll(/"access_token":"kta_[0-9A-Za-z]{49}"/g, '"access_token":"…"')
    .replaceAll(/eyJ[\w-]+\.[\w-]+\.[\w-]+/g, claimsOf)
    .replaceAll(/^X-Request-Id: [0-9a-f-]{36}\r$/gim, 'X-Request-Id: …\r')
    .replaceAll(/^Date: [^\r]*\r$/gim, 'Date: …\r')
    .replaceAll(/^id: .*$/gm, 'id: …');
}

/** What a JWT says, but for when it was signed. */
function claimsOf(jwt: string): string {
  const [, payload = ''] = jwt.split('.');
  return Buffer.from(payload, 'base64url')
    .toString('utf8')
    .replace(/"iat":\d+,"token_introspection"/, '"token_introspection"');
}
