import { Agent } from 'node:http';
import { connect, type Socket } from 'node:net';
import { eventually } from '../eventually.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { endpointsOf, registerAll } from './fixture.ts';
import { basicOf, sendRaw } from './http-client.ts';

let server: TestServer;
let clients: Awaited<ReturnType<typeof registerAll>>;
let api: ReturnType<typeof endpointsOf>;

beforeAll(async () => {
  server = await startTestServer();
  clients = await registerAll(server.core);
  api = endpointsOf(server.publicUrl);
});

afterAll(() => server?.close());

async function open(bytes = ''): Promise<{ socket: Socket; received: () => string; isClosed: () => boolean }> {
  const { hostname, port } = new URL(server.publicUrl);
  const socket = connect(Number(port), hostname);
  let text = '';
  let closed = false;
  socket.on('data', (data) => {
    text += data.toString('latin1');
  });
  socket.on('error', () => undefined);
  socket.on('close', () => {
    closed = true;
  });
  await new Promise<void>((resolve) => socket.once('connect', resolve));
  if (bytes) socket.write(bytes);
  return { socket, received: () => text, isClosed: () => closed };
}

const form = 'grant_type=client_credentials';
const request = (more = '') =>
  `POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${basicOf(clients.shop.id, clients.shop.secret)}\r\n` +
  `Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ${form.length}\r\n${more}\r\n${form}`;

it('answers pipelined requests one by one, in their order', async () => {
  const wrong = request().replace(form, form.replace('client_credentials', 'client_credentialz'));
  const { text } = await sendRaw(server.publicUrl, request() + wrong + request() + request('Connection: close\r\n'));
  expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 400', 'HTTP/1.1 200', 'HTTP/1.1 200']);
  expect(new Set(text.match(/kta_\w+/g)).size).toBe(3);
});

it('does not answer requests after one that closes its connection', async () => {
  const { text } = await sendRaw(server.publicUrl, request('Connection: close\r\n') + request());
  expect(text.match(/HTTP\/1\.1 \d+/g)).toHaveLength(1);
});

it('serves others while 500 sockets send slowly and 500 are idle, and closes requests that never end', async () => {
  const idle = await Promise.all(Array.from({ length: 500 }, () => open()));
  const slow = await Promise.all(Array.from({ length: 500 }, () => open('POST /oauth2/token HTTP/1.1\r\nHost: loc')));
  const drip = setInterval(() => {
    for (const { socket } of slow) if (socket.writable) socket.write('a');
  }, 500);

  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  for (let round = 0; round < 200; round++) {
    expect((await api.token(clients.shop, {}, { agent })).status).toBe(200);
  }
  agent.destroy();
  expect(slow.some(({ isClosed }) => isClosed())).toBe(false);

  // The headers of a request must arrive within 10 s in total.
  await eventually(() => slow.every(({ isClosed }) => isClosed()));
  clearInterval(drip);
  for (const { received } of slow) expect(received()).toMatch(/^HTTP\/1\.1 408 /);
  for (const { socket } of idle) socket.destroy();
});
