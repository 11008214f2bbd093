/**
 * The reference server: the least work any server in this process model does for an answer. Parses the form, awaits one
 * Redis command over the same driver, and answers. Checks nothing.
 */
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Redis } from 'ioredis';

const redis = new Redis(process.env['REDIS_URL'] ?? '', { enableAutoPipelining: true });

createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => void answer(request, response, Buffer.concat(chunks).toString()));
}).listen(Number(process.env['PORT']), '127.0.0.1');

async function answer({ url }: IncomingMessage, response: ServerResponse, body: string): Promise<void> {
  const form = new URLSearchParams(body);
  if (url === '/token') {
    const token = randomBytes(32).toString('base64url');
    const record = { client_id: 'limit', scope: form.get('scope') ?? 'orders:read', iat: Date.now() };
    await redis.set(`limit:${token}`, JSON.stringify(record), 'EX', 3600);
    respond(response, { access_token: token, token_type: 'Bearer', expires_in: 3600, scope: record.scope });
  } else {
    const text = await redis.get(`limit:${form.get('token')}`);
    respond(response, text === null ? { active: false } : { active: true, ...(JSON.parse(text) as object) });
  }
}

function respond(response: ServerResponse, body: object): void {
  const text = JSON.stringify(body);
  response.writeHead(200, {
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': Buffer.byteLength(text),
    'Cache-Control': 'no-store',
  });
  response.end(text);
}
