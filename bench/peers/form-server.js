import { createServer } from 'node:http';

/** A node:http server for libraries that bring none: it reads a form and sends what `answer` makes of it, as JSON. */
export function serveForms(answer) {
  createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', async () => {
      const form = Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString()));
      const { status, headers = {}, body } = await answer(request, form);
      const text = JSON.stringify(body);
      response.writeHead(status, {
        ...headers,
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(text),
      });
      response.end(text);
    });
  }).listen(Number(process.env.PORT), '127.0.0.1');
}
